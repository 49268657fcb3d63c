/*
 * What the operations in sql/ are written with: a statement that both stores understand, typed parameters, typed rows.
 * `$1` is a named parameter to SQLite and PostgreSQL's own; pn_now_ms() is a function in both. Used inside a transaction
 * only, on its thread.
 */
#ifndef PN_STORE_STATEMENT_H
#define PN_STORE_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/* Always static const: its address is the key under which a connection keeps it prepared. */
struct sql {
    const char *name;   /* unique; PostgreSQL prepares under it */
    const char *text;
    const char *pg;     /* where PostgreSQL needs another text; NULL: the same */
    bool exists;        /* a violated unique key is RC_EXISTS, not RC_DATA */
};

/* I64S … TEXTS are PostgreSQL arrays in their wire form (pg/array.h). */
enum value_type { VALUE_I64, VALUE_BOOL, VALUE_TEXT, VALUE_BLOB, VALUE_I64S, VALUE_BOOLS, VALUE_TEXTS };

struct value {
    enum value_type type;
    bool null;
    int64_t i64;
    const char *bytes;
    size_t len;
};

struct value value_i64(int64_t i64);
struct value value_id(int64_t id); /* 0 is NULL */
struct value value_bool(bool yes);
struct value value_text(const char *text); /* NULL is NULL, "" is not */
struct value value_blob(const char *bytes, size_t len);

/* The two arguments `values, count`. */
#define VALUES(...) (const struct value[]){ __VA_ARGS__ }, sizeof((const struct value[]){ __VA_ARGS__ }) / sizeof(struct value)

/* The current row; columns count from 0. */
struct row {
    const struct row_access *access;
    void *handle;
    int index;
    struct arena *arena; /* of the texts handed out */
    bool failed;         /* the arena was full: the row is not to be used */
};
struct row_access {
    int64_t (*i64)(const struct row *row, int column);
    const char *(*bytes)(const struct row *row, int column, size_t *ret_len); /* NULL for NULL */
};

int64_t row_i64(const struct row *row, int column); /* NULL is 0 */
bool row_bool(const struct row *row, int column);
const char *row_text(struct row *row, int column); /* copied into the arena; NULL stays NULL */
const char *row_blob(struct row *row, int column, size_t *ret_len);

/* Writes one row into a zeroed item. */
typedef void (*row_fn)(struct row *row, void *ret_item);

/* A statement without rows, or whose rows do not matter. ret_changed may be NULL. */
enum rc tx_exec(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, int64_t *ret_changed,
                struct error *err);
/* The first row, or RC_NOT_FOUND without a text in err. */
enum rc tx_one(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, struct arena *arena, row_fn fn,
               void *ret_item, size_t item_size, struct error *err);
/* All rows, as an array in the arena. */
enum rc tx_list(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, struct arena *arena, row_fn fn,
                size_t item_size, void **ret_items, size_t *ret_count, struct error *err);
/* The first column of the first row; RC_NOT_FOUND without a row. */
enum rc tx_i64(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, int64_t *ret, struct error *err);

#endif
