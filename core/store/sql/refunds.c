/*
 * Refunds: one function, one statement. Called by core/pay inside its transactions, with the order locked.
 */
#include "config.h"

#include "store/sql/rows.h"

#define REFUND_COLUMNS                                                                                                            \
    "refund_no, pay_no, order_id, app, channel, out_refund_id, source, cause, amount_minor, currency, reason, status, doubt, "   \
    "calls, provider_no, code, message, created_at, finished_at"

static void refund_from_row(struct row *row, void *ret_refund)
{
    struct refund *refund = ret_refund;
    refund->refund_no = row_i64(row, 0);
    refund->pay_no = row_i64(row, 1);
    refund->order_id = row_i64(row, 2);
    refund->app = row_text(row, 3);
    refund->channel = row_text(row, 4);
    refund->out_refund_id = row_text(row, 5);
    refund->source = row_text(row, 6);
    refund->cause = row_text(row, 7);
    refund->amount_minor = row_i64(row, 8);
    refund->currency = row_text(row, 9);
    refund->reason = row_text(row, 10);
    refund->status = (enum refund_status)row_i64(row, 11);
    refund->doubt = row_bool(row, 12);
    refund->calls = row_i64(row, 13);
    refund->provider_no = row_text(row, 14);
    refund->code = row_text(row, 15);
    refund->message = row_text(row, 16);
    refund->created_at = row_i64(row, 17);
    refund->finished_at = row_i64(row, 18);
}

/* Does nothing when the caller's number is taken, so that the transaction stays usable. */
static const struct sql insert = {
    .name = "refund_insert",
    .text = "INSERT INTO refunds (" REFUND_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, "
            "$16, $17, pn_now_ms(), CASE WHEN $18 THEN pn_now_ms() END) "
            "ON CONFLICT (out_refund_id, app) WHERE out_refund_id IS NOT NULL DO NOTHING RETURNING created_at",
};

static bool is_finished(enum refund_status status)
{
    return status == REFUND_SUCCEEDED || status == REFUND_FAILED;
}

enum rc refund_insert(struct tx *tx, struct refund *refund, struct error *err)
{
    int64_t created_at;
    enum rc rc = tx_i64(tx, &insert,
                        VALUES(value_i64(refund->refund_no), value_i64(refund->pay_no), value_i64(refund->order_id),
                               value_text(refund->app), value_text(refund->channel), value_text(refund->out_refund_id),
                               value_text(refund->source), value_text(refund->cause), value_i64(refund->amount_minor),
                               value_text(refund->currency), value_text(refund->reason), value_i64(refund->status),
                               value_bool(refund->doubt), value_i64(refund->calls), value_text(refund->provider_no), value_text(refund->code),
                               value_text(refund->message), value_bool(is_finished(refund->status))),
                        &created_at, err);
    if (rc == RC_NOT_FOUND)
        return error_set(err, RC_EXISTS, "a refund of this app has this out_refund_id");
    if (rc == RC_OK) {
        refund->created_at = created_at;
        refund->finished_at = is_finished(refund->status) ? created_at : 0;
    }
    return rc;
}

static const struct sql get = {
    .name = "refund_get",
    .text = "SELECT " REFUND_COLUMNS " FROM refunds WHERE refund_no = $1",
};

enum rc refund_get(struct tx *tx, int64_t refund_no, struct arena *arena, struct refund *ret, struct error *err)
{
    enum rc rc = tx_one(tx, &get, VALUES(value_i64(refund_no)), arena, refund_from_row, ret, sizeof *ret, err);
    return rc == RC_NOT_FOUND ? error_set(err, rc, "there is no such refund") : rc;
}

static const struct sql find = {
    .name = "refund_find",
    .text = "SELECT " REFUND_COLUMNS " FROM refunds WHERE app = $1 AND out_refund_id = $2",
};

enum rc refund_find(struct tx *tx, const char *app, const char *out_refund_id, struct arena *arena, struct refund *ret,
                    struct error *err)
{
    enum rc rc = tx_one(tx, &find, VALUES(value_text(app), value_text(out_refund_id)), arena, refund_from_row, ret, sizeof *ret, err);
    return rc == RC_NOT_FOUND ? error_set(err, rc, "there is no such refund") : rc;
}

static enum rc list(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, struct arena *arena,
                    struct refund **ret, size_t *ret_count, struct error *err)
{
    void *items;
    enum rc rc = tx_list(tx, sql, values, count, arena, refund_from_row, sizeof **ret, &items, ret_count, err);
    if (rc == RC_OK)
        *ret = items;
    return rc;
}

static const struct sql of_record = {
    .name = "refunds_of_record",
    .text = "SELECT " REFUND_COLUMNS " FROM refunds WHERE pay_no = $1 ORDER BY refund_no",
};

enum rc refunds_of_record(struct tx *tx, int64_t pay_no, struct arena *arena, struct refund **ret, size_t *ret_count,
                          struct error *err)
{
    return list(tx, &of_record, VALUES(value_i64(pay_no)), arena, ret, ret_count, err);
}

/* One statement per leading filter, as in order_list.c. */
#define LIST(condition)                                                                                                           \
    "SELECT " REFUND_COLUMNS " FROM refunds WHERE " condition " AND ($3 IS NULL OR app = $3) AND ($4 = 0 OR status = $4) "        \
    "AND ($5 IS NULL OR out_refund_id = $5) AND ($6 = 0 OR order_id = $6) AND created_at >= $7 "                                  \
    "AND ($8 = 0 OR created_at < $8) AND refund_no < $9 ORDER BY refund_no DESC LIMIT $10"

static const struct sql by_record = { .name = "refund_list_record", .text = LIST("pay_no = $1 AND $2 IS NULL") };
static const struct sql by_order = { .name = "refund_list_order", .text = LIST("order_id = $1 AND $2 IS NULL") };
static const struct sql by_number = { .name = "refund_list_number", .text = LIST("$1 = 0 AND out_refund_id = $2") };
static const struct sql by_app = { .name = "refund_list_app", .text = LIST("$1 = 0 AND app = $2") };
static const struct sql all = { .name = "refund_list_all", .text = LIST("$1 = 0 AND $2 IS NULL") };

enum rc refund_list(struct tx *tx, const struct refund_filter *filter, struct arena *arena, struct refund **ret, size_t *ret_count,
                    struct error *err)
{
    const struct sql *sql = &all;
    int64_t id = 0;
    const char *text = NULL;
    if (filter->pay_no != 0)
        sql = &by_record, id = filter->pay_no;
    else if (filter->order_id != 0)
        sql = &by_order, id = filter->order_id;
    else if (filter->out_refund_id != NULL)
        sql = &by_number, text = filter->out_refund_id;
    else if (filter->app != NULL)
        sql = &by_app, text = filter->app;
    return list(tx, sql,
                VALUES(value_i64(id), value_text(text), value_text(filter->app), value_i64(filter->status),
                       value_text(filter->out_refund_id), value_i64(filter->order_id), value_i64(filter->created_from),
                       value_i64(filter->created_to), value_i64(filter->before_id == 0 ? INT64_MAX : filter->before_id),
                       value_i64((int64_t)filter->limit)),
                arena, ret, ret_count, err);
}
