/*
 * Array parameters in PostgreSQL's binary form: cheaper for both sides than text, and nothing to escape. Their memory
 * belongs to the connection and is used again. On the transaction's thread.
 */
#include "config.h"

#include <endian.h>
#include <string.h>

#include "store/pg/pg.h"

/* From src/include/utils/array.h: dimensions, whether there are nulls, element type, then length and lower bound of the
 * only dimension; all in network order. */
struct header {
    uint32_t dimensions, nulls, element, length, lower_bound;
};

struct pg_array pg_array_start(struct pg_tx *tx, enum value_type type)
{
    struct pg_array array = { .tx = tx, .type = type };
    if (tx->arrays_used == PG_ARRAYS)
        return array;
    array.buf = &tx->conn->arrays[tx->arrays_used++];
    buf_clear(array.buf);
    array.buf->failed = false;
    buf_add(array.buf, &(struct header){ 0 }, sizeof(struct header));
    return array;
}

static void add(struct pg_array *array, const void *bytes, size_t len)
{
    uint32_t prefix = htobe32(bytes == NULL ? UINT32_MAX : (uint32_t)len);
    array->count++;
    array->nulls |= bytes == NULL;
    if (array->buf == NULL)
        return;
    buf_add(array->buf, &prefix, sizeof prefix);
    if (bytes != NULL)
        buf_add(array->buf, bytes, len);
}

void pg_array_i64(struct pg_array *array, int64_t value)
{
    uint64_t bytes = htobe64((uint64_t)value);
    add(array, &bytes, sizeof bytes);
}

void pg_array_null(struct pg_array *array)
{
    add(array, NULL, 0);
}

void pg_array_id(struct pg_array *array, int64_t id)
{
    if (id == 0)
        pg_array_null(array);
    else
        pg_array_i64(array, id);
}

void pg_array_bool(struct pg_array *array, bool value)
{
    char byte = value;
    add(array, &byte, 1);
}

void pg_array_text(struct pg_array *array, const char *text)
{
    add(array, text, text == NULL ? 0 : strlen(text));
}

struct value pg_array_end(struct pg_array *array)
{
    static const uint32_t elements[] = { [VALUE_I64S] = 20, [VALUE_BOOLS] = 16, [VALUE_TEXTS] = 25 };
    struct value value = { .type = array->type };
    if (array->buf == NULL || array->buf->failed)
        return value; /* no bytes: the pipeline refuses it */
    struct header header = {
        .dimensions = htobe32(array->count > 0 ? 1 : 0),
        .nulls = htobe32(array->nulls),
        .element = htobe32(elements[array->type]),
        .length = htobe32(array->count),
        .lower_bound = htobe32(1),
    };
    memcpy(array->buf->data, &header, sizeof header);
    value.bytes = array->buf->data;
    value.len = array->count > 0 ? array->buf->len : offsetof(struct header, length);
    return value;
}
