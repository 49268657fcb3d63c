/*
 * Pay records outside settlement: one function, one statement. Called by core/pay inside its transactions.
 */
#include "config.h"

#include "store/sql/rows.h"

void settle_record_from_row(struct row *row, void *ret_record)
{
    struct pay_record *record = ret_record;
    record->pay_no = row_i64(row, 0);
    record->order_id = row_i64(row, 1);
    record->app = row_text(row, 2);
    record->channel = row_text(row, 3);
    record->product = row_text(row, 4);
    record->amount_minor = row_i64(row, 5);
    record->currency = row_text(row, 6);
    record->merchant = row_text(row, 7);
    record->status = (enum payment_status)row_i64(row, 8);
    record->trade_no = row_text(row, 9);
    record->payer = row_text(row, 10);
    record->refunded_minor = row_i64(row, 11);
    record->refunding_minor = row_i64(row, 12);
    record->stated_back_minor = row_i64(row, 13);
    record->paid_at = row_i64(row, 14);
    record->idempotency_key = row_text(row, 15);
    record->needs_review = row_bool(row, 16);
    record->created_at = row_i64(row, 17);
    record->expires_at = row_i64(row, 18);
}

void record_from_row(struct row *row, void *ret_record)
{
    struct pay_record *record = ret_record;
    settle_record_from_row(row, record);
    record->params = row_text(row, 19);
    record->prepay = row_text(row, 20);
}

/* Does nothing when the idempotency key is taken, so that the transaction stays usable. */
static const struct sql insert = {
    .name = "record_insert",
    .text = "INSERT INTO pay_records (" RECORD_COLUMNS ") "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, 0, $12, $13, $14, pn_now_ms(), $15, $16, $17) "
            "ON CONFLICT (order_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING created_at",
};

enum rc record_insert(struct tx *tx, struct pay_record *record, struct error *err)
{
    int64_t created_at;
    enum rc rc = tx_i64(tx, &insert,
                        VALUES(value_i64(record->pay_no), value_i64(record->order_id), value_text(record->app),
                               value_text(record->channel), value_text(record->product), value_i64(record->amount_minor),
                               value_text(record->currency), value_text(record->merchant), value_i64(record->status),
                               value_text(record->trade_no), value_text(record->payer), value_id(record->paid_at),
                               value_text(record->idempotency_key), value_bool(record->needs_review),
                               value_i64(record->expires_at), value_text(record->params), value_text(record->prepay)),
                        &created_at, err);
    if (rc == RC_NOT_FOUND)
        return error_set(err, RC_EXISTS, "a payment of this order has this idempotency_key");
    if (rc == RC_OK)
        record->created_at = created_at;
    return rc;
}

static const struct sql get = {
    .name = "record_get",
    .text = "SELECT " RECORD_COLUMNS " FROM pay_records WHERE pay_no = $1",
};

enum rc record_get(struct tx *tx, int64_t pay_no, struct arena *arena, struct pay_record *ret, struct error *err)
{
    enum rc rc = tx_one(tx, &get, VALUES(value_i64(pay_no)), arena, record_from_row, ret, sizeof *ret, err);
    return rc == RC_NOT_FOUND ? error_set(err, rc, "there is no such payment") : rc;
}

static const struct sql find_key = {
    .name = "record_find_key",
    .text = "SELECT " RECORD_COLUMNS " FROM pay_records WHERE order_id = $1 AND idempotency_key = $2",
};

enum rc record_find_key(struct tx *tx, int64_t order_id, const char *idempotency_key, struct arena *arena, struct pay_record *ret,
                        struct error *err)
{
    enum rc rc = tx_one(tx, &find_key, VALUES(value_i64(order_id), value_text(idempotency_key)), arena, record_from_row, ret,
                        sizeof *ret, err);
    return rc == RC_NOT_FOUND ? error_set(err, rc, "no payment of this order has this idempotency_key") : rc;
}

static const struct sql of_order = {
    .name = "records_of_order",
    .text = "SELECT " RECORD_COLUMNS " FROM pay_records WHERE order_id = $1 ORDER BY pay_no",
};

enum rc records_of_order(struct tx *tx, int64_t order_id, struct arena *arena, struct pay_record **ret, size_t *ret_count,
                         struct error *err)
{
    void *items;
    enum rc rc = tx_list(tx, &of_order, VALUES(value_i64(order_id)), arena, record_from_row, sizeof **ret, &items, ret_count, err);
    if (rc == RC_OK)
        *ret = items;
    return rc;
}

/* The states: 601001 unpaid, 601004 closed. What a payer was shown stays noted. */
static const struct sql set_prepay = {
    .name = "record_set_prepay",
    .text = "UPDATE pay_records SET merchant = $2, prepay = coalesce($3, prepay) WHERE pay_no = $1 AND status = 601001",
};

enum rc record_set_prepay(struct tx *tx, int64_t pay_no, const char *merchant, const char *prepay, struct error *err)
{
    int64_t changed;
    enum rc rc = tx_exec(tx, &set_prepay, VALUES(value_i64(pay_no), value_text(merchant), value_text(prepay)), &changed, err);
    if (rc == RC_OK && changed == 0)
        return error_set(err, RC_CONFLICT, "the payment is not unpaid");
    return rc;
}

static const struct sql set_closed = {
    .name = "record_set_closed",
    .text = "UPDATE pay_records SET status = 601004 WHERE pay_no = $1 AND status = 601001",
};

enum rc record_set_closed(struct tx *tx, int64_t pay_no, struct error *err)
{
    int64_t changed;
    enum rc rc = tx_exec(tx, &set_closed, VALUES(value_i64(pay_no)), &changed, err);
    if (rc == RC_OK && changed == 0)
        return error_set(err, RC_CONFLICT, "the payment is not unpaid");
    return rc;
}

static const struct sql set_review = {
    .name = "record_set_review",
    .text = "UPDATE pay_records SET needs_review = true WHERE pay_no = $1 AND NOT needs_review",
};

enum rc record_set_review(struct tx *tx, int64_t pay_no, struct error *err)
{
    int64_t changed;
    enum rc rc = tx_exec(tx, &set_review, VALUES(value_i64(pay_no)), &changed, err);
    if (rc == RC_OK && changed == 0)
        return error_set(err, RC_CONFLICT, "the payment is under review already");
    return rc;
}
