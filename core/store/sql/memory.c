/*
 * What a channel remembers (tokens, certificates): a versioned blob. Called by core/pay.
 */
#include "config.h"

#include "store/statement.h"

struct memory {
    const char *data;
    size_t len;
    int64_t version, refresh_at;
};

static void memory_from_row(struct row *row, void *ret_memory)
{
    struct memory *memory = ret_memory;
    memory->data = row_blob(row, 0, &memory->len);
    memory->version = row_i64(row, 1);
    memory->refresh_at = row_i64(row, 2);
}

static const struct sql get = {
    .name = "memory_get",
    .text = "SELECT data, version, refresh_at FROM channel_memory WHERE channel = $1",
};

enum rc memory_get(struct tx *tx, const char *channel, struct arena *arena, const char **ret_data, size_t *ret_len,
                   int64_t *ret_version, int64_t *ret_refresh_at, struct error *err)
{
    struct memory memory;
    enum rc rc = tx_one(tx, &get, VALUES(value_text(channel)), arena, memory_from_row, &memory, sizeof memory, err);
    if (rc == RC_NOT_FOUND)
        return error_set(err, rc, "channel %s has no memory yet", channel);
    if (rc != RC_OK)
        return rc;
    *ret_data = memory.data;
    *ret_len = memory.len;
    *ret_version = memory.version;
    *ret_refresh_at = memory.refresh_at;
    return RC_OK;
}

static const struct sql first = {
    .name = "memory_first",
    .text = "INSERT INTO channel_memory (channel, data, version, refresh_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
};

static const struct sql next = {
    .name = "memory_next",
    .text = "UPDATE channel_memory SET data = $2, version = $3, refresh_at = $4 WHERE channel = $1 AND version = $3 - 1",
};

enum rc memory_put(struct tx *tx, const char *channel, const char *data, size_t len, int64_t version, int64_t refresh_at,
                   struct error *err)
{
    int64_t changed;
    enum rc rc = tx_exec(tx, version == 1 ? &first : &next,
                         VALUES(value_text(channel), value_blob(data, len), value_i64(version), value_i64(refresh_at)), &changed,
                         err);
    if (rc == RC_OK && changed == 0)
        return error_set(err, RC_CONFLICT, "channel %s has another version of its memory", channel);
    return rc;
}
