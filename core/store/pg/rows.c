/*
 * Reading PostgreSQL's binary results as rows. On the transaction's thread.
 */
#include "config.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "store/pg/pg.h"

/* bigint, integer and boolean: by their length. */
static int64_t result_i64(const struct row *row, int column)
{
    const PGresult *result = row->handle;
    if (PQgetisnull(result, row->index, column))
        return 0;
    const char *bytes = PQgetvalue(result, row->index, column);
    uint64_t wide;
    uint32_t narrow;
    switch (PQgetlength(result, row->index, column)) {
    case sizeof wide:
        memcpy(&wide, bytes, sizeof wide);
        return (int64_t)be64toh(wide);
    case sizeof narrow:
        memcpy(&narrow, bytes, sizeof narrow);
        return (int32_t)be32toh(narrow);
    default:
        return bytes[0];
    }
}

static const char *result_bytes(const struct row *row, int column, size_t *ret_len)
{
    const PGresult *result = row->handle;
    if (PQgetisnull(result, row->index, column))
        return NULL;
    *ret_len = (size_t)PQgetlength(result, row->index, column);
    return PQgetvalue(result, row->index, column);
}

static const struct row_access result_access = { result_i64, result_bytes };

int64_t pg_changed(const PGresult *result)
{
    return strtoll(PQcmdTuples((PGresult *)result), NULL, 10);
}

enum rc pg_each(PGresult *result, struct arena *arena, each_row_fn each, void *ctx, struct error *err)
{
    struct row row = { .access = &result_access, .handle = result, .arena = arena };
    for (; row.index < PQntuples(result); row.index++) {
        enum rc rc = each(&row, ctx, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc pg_collect(PGresult *result, struct arena *arena, row_fn fn, size_t item_size, void **ret_items, size_t *ret_count,
                   struct error *err)
{
    size_t count = (size_t)PQntuples(result);
    char *items = arena_alloc(arena, count * item_size);
    if (items == NULL)
        return error_set(err, RC_NOMEM, "the answer of the store is too large");
    struct row row = { .access = &result_access, .handle = result, .arena = arena };
    for (size_t i = 0; i < count; i++, row.index++)
        fn(&row, items + i * item_size);
    if (row.failed)
        return error_set(err, RC_NOMEM, "the answer of the store is too large");
    *ret_items = items;
    *ret_count = count;
    return RC_OK;
}
