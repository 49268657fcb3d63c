/*
 * JSON bodies are parsed from a table: which fields there are, of what type and length, and where in the caller's struct
 * they go. Everything else in a body is an error that names the field. Pure, on the request's arena; any thread.
 */
#ifndef PN_HTTP_SPEC_H
#define PN_HTTP_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

enum spec_type {
    SPEC_TEXT,    /* const char *: 1 to `max` characters, no control characters */
    SPEC_LINES,   /* the same, with line breaks and tabs */
    SPEC_URL,     /* const char *: absolute, http or https, at most `max` bytes */
    SPEC_INTEGER, /* int64_t from `low` to `high`; absent: untouched */
    SPEC_OBJECT,  /* const char *: any JSON object, as sent but for white space, at most `max` bytes; not inside lists */
    SPEC_LIST     /* struct spec_list: up to `max` objects of `items` */
};

struct spec_list {
    void *items;
    size_t count;
};

struct spec;
struct spec_field {
    const char *name;
    enum spec_type type;
    bool required;
    size_t max;
    size_t offset; /* in the caller's struct */
    int64_t low, high;
    const struct spec *items;
};

/* Names that are only known at run time: texts, given back as name and value. */
struct spec_extra {
    const char *name, *value;
};

struct spec {
    const struct spec_field *fields;
    size_t count;
    size_t size; /* of one struct */
    size_t extras_offset; /* of a struct spec_list of struct spec_extra; only with extra names */
};

#define SPEC_EXTRA_MAX 256 /* characters */

/* Reads `body` into *ret (zeroed by the caller, spec->size bytes; defaults may be set before). extra_names ends with
 * NULL, or is NULL. RC_BAD_INPUT: with err->field set when a field is at fault ("goods[2].price"), otherwise the body as
 * a whole. */
enum rc spec_parse(const struct spec *spec, const char *const *extra_names, const void *body, size_t len, struct arena *arena,
                   void *ret, struct error *err);

#endif
