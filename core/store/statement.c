/*
 * Rows into structs: the helpers that every operation in sql/ is written with, above the drivers' one `run`.
 * On the transaction's thread.
 */
#include "config.h"

#include "store/statement.h"

#include <string.h>

#include "store/driver.h"

struct value value_i64(int64_t i64)
{
    return (struct value){ .type = VALUE_I64, .i64 = i64 };
}

struct value value_id(int64_t id)
{
    return (struct value){ .type = VALUE_I64, .i64 = id, .null = id == 0 };
}

struct value value_bool(bool yes)
{
    return (struct value){ .type = VALUE_BOOL, .i64 = yes };
}

struct value value_text(const char *text)
{
    return (struct value){ .type = VALUE_TEXT, .bytes = text, .len = text == NULL ? 0 : strlen(text), .null = text == NULL };
}

struct value value_blob(const char *bytes, size_t len)
{
    return (struct value){ .type = VALUE_BLOB, .bytes = bytes, .len = len };
}

int64_t row_i64(const struct row *row, int column)
{
    return row->access->i64(row, column);
}

bool row_bool(const struct row *row, int column)
{
    return row->access->i64(row, column) != 0;
}

const char *row_blob(struct row *row, int column, size_t *ret_len)
{
    size_t len = 0;
    const char *bytes = row->access->bytes(row, column, &len);
    *ret_len = len;
    if (bytes == NULL)
        return NULL;
    char *copy = arena_strndup(row->arena, bytes, len);
    row->failed |= copy == NULL;
    return copy;
}

const char *row_text(struct row *row, int column)
{
    size_t len;
    return row_blob(row, column, &len);
}

enum rc tx_exec(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, int64_t *ret_changed,
                struct error *err)
{
    return tx->driver->run(tx, sql, values, count, NULL, NULL, NULL, ret_changed, err);
}

struct collected {
    row_fn fn;
    struct arena *arena;
    char *items;
    size_t item_size, count, cap;
};

static enum rc collect(struct row *row, void *ctx, struct error *err)
{
    struct collected *all = ctx;
    if (all->count == all->cap) {
        size_t cap = all->cap == 0 ? 8 : all->cap * 2;
        char *items = arena_alloc(all->arena, cap * all->item_size);
        if (items == NULL)
            return error_set(err, RC_NOMEM, "the answer of the store is too large");
        if (all->count > 0)
            memcpy(items, all->items, all->count * all->item_size);
        all->items = items;
        all->cap = cap;
    }
    all->fn(row, all->items + all->count * all->item_size);
    if (row->failed)
        return error_set(err, RC_NOMEM, "the answer of the store is too large");
    all->count++;
    return RC_OK;
}

enum rc tx_list(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, struct arena *arena, row_fn fn,
                size_t item_size, void **ret_items, size_t *ret_count, struct error *err)
{
    struct collected all = { .fn = fn, .arena = arena, .item_size = item_size };
    enum rc rc = tx->driver->run(tx, sql, values, count, arena, collect, &all, NULL, err);
    if (rc != RC_OK)
        return rc;
    *ret_items = all.items;
    *ret_count = all.count;
    return RC_OK;
}

enum rc tx_one(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, struct arena *arena, row_fn fn,
               void *ret_item, size_t item_size, struct error *err)
{
    void *items;
    size_t found;
    enum rc rc = tx_list(tx, sql, values, count, arena, fn, item_size, &items, &found, err);
    if (rc != RC_OK)
        return rc;
    if (found == 0)
        return RC_NOT_FOUND;
    memcpy(ret_item, items, item_size);
    return RC_OK;
}

struct first_i64 {
    int64_t value;
    bool found;
};

static enum rc take_i64(struct row *row, void *ctx, struct error *err)
{
    (void)err;
    struct first_i64 *first = ctx;
    if (!first->found)
        *first = (struct first_i64){ .value = row_i64(row, 0), .found = true };
    return RC_OK;
}

enum rc tx_i64(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, int64_t *ret, struct error *err)
{
    struct first_i64 first = { 0 };
    enum rc rc = tx->driver->run(tx, sql, values, count, NULL, take_i64, &first, NULL, err);
    if (rc != RC_OK)
        return rc;
    if (!first.found)
        return RC_NOT_FOUND;
    *ret = first.value;
    return RC_OK;
}
