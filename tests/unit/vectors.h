/*
 * The providers' test vectors (tests/vectors/NAME.json), each case a test of its own.
 */
#ifndef TESTS_UNIT_VECTORS_H
#define TESTS_UNIT_VECTORS_H

#include <jansson.h>
#include <paynotify/plugin.h>
#include <stdbool.h>

/* Ends the process when the file cannot be read. */
json_t *vectors_load(const char *name);

/* The tests of one program: cases of the files, and others. */
struct suite;
struct suite *suite_new(void);

/* A test with each case as its initial state (a json_t *), named "<id> <title>". There must be `want` cases at least: a file
 * that has shrunk is a failure. */
void suite_add_cases(struct suite *suite, const char *group, json_t *cases, size_t want, void (*test)(void **state));
void suite_add(struct suite *suite, const char *name, void (*test)(void **state));
#define SUITE_ADD(suite_, test_) suite_add((suite_), #test_, (test_))

/* Runs and frees it. Returns the number of failures. */
int suite_run(struct suite *suite, const char *name);

/* A string member, absent when it is not there. Points into the JSON value. */
struct pn_str vector_str(const json_t *object, const char *name);
bool vector_has(const json_t *object, const char *name);

/* The bytes of `<name>_b64`, or of `name`. The caller frees ret->data. */
struct pn_str vector_bytes(const json_t *object, const char *name);

/* The bytes of a value: a string, {"b64": …}, {"gbk_hex": …}, or null. The caller frees ret->data. */
struct pn_str vector_value(const json_t *value);

/* A key of keys.json: vectors_key("app", "private_pkcs8_pem"). Lives until the process ends. */
struct pn_str vectors_key(const char *key, const char *shape);

#endif
