/*
 * The state changes of refunds and of the sums that they move: each one conditional UPDATE. Called by core/pay with the
 * order locked, and by settle_store.
 */
#include "config.h"

#include "store/driver.h"
#include "store/statement.h"

static enum rc change(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, enum rc unmet,
                      const char *why, struct error *err)
{
    int64_t changed;
    enum rc rc = tx_exec(tx, sql, values, count, &changed, err);
    return rc == RC_OK && changed == 0 ? error_set(err, unmet, "%s", why) : rc;
}

/* 601002: paid. */
static const struct sql reserve = {
    .name = "refund_reserve",
    .text = "UPDATE pay_records SET refunding_minor = refunding_minor + $2 WHERE pay_no = $1 AND status = 601002 "
            "AND $2 > 0 AND $2 <= amount_minor - refunded_minor - refunding_minor",
};

enum rc refund_reserve(struct tx *tx, int64_t pay_no, int64_t amount_minor, struct error *err)
{
    return change(tx, &reserve, VALUES(value_i64(pay_no), value_i64(amount_minor)), RC_CONFLICT,
                  "the payment is not paid, or has less than that left to refund", err);
}

/* 602001 created, 602002 processing, 602003 succeeded, 602004 failed, 602005 unknown. */
static const struct sql set_again = {
    .name = "refund_set_again",
    .text = "UPDATE refunds SET status = 602001, finished_at = NULL, cause = $2 WHERE refund_no = $1 AND status = 602004",
};

enum rc refund_set_again(struct tx *tx, int64_t refund_no, const char *cause, struct error *err)
{
    return change(tx, &set_again, VALUES(value_i64(refund_no), value_text(cause)), RC_CONFLICT, "the refund has not failed", err);
}

static const struct sql set_doubt = {
    .name = "refund_set_doubt",
    .text = "UPDATE refunds SET doubt = $2, calls = CASE WHEN $2 THEN calls + 1 ELSE calls END WHERE refund_no = $1 AND status IN (602001, 602002, 602005)",
};

enum rc refund_set_doubt(struct tx *tx, int64_t refund_no, bool doubt, struct error *err)
{
    return change(tx, &set_doubt, VALUES(value_i64(refund_no), value_bool(doubt)), RC_CONFLICT, "the refund has ended", err);
}

static const struct sql change_refund = {
    .name = "refund_change",
    .text = "UPDATE refunds SET status = $3, code = coalesce($4, code), message = coalesce($5, message), "
            "finished_at = CASE WHEN $3 = status THEN finished_at WHEN $3 IN (602003, 602004) THEN pn_now_ms() END "
            "WHERE refund_no = $1 AND status = $2",
};

/* Sums beyond what was paid violate a check of the table: no retry would mend them. */
static const struct sql change_totals = {
    .name = "refund_totals",
    .text = "UPDATE pay_records SET refunded_minor = $4, refunding_minor = $5, stated_back_minor = $6 WHERE pay_no = $1 AND refunded_minor = $2 "
            "AND refunding_minor = $3",
};

static const struct sql change_order = {
    .name = "refund_order_total",
    .text = "UPDATE orders SET refunded_minor = $3 WHERE order_id = $1 AND refunded_minor = $2",
};

static enum rc store_totals(struct tx *tx, const struct refund_totals *totals, struct error *err)
{
    static const char why[] = "refunds of a payment have changed in between";
    enum rc rc = change(tx, &change_totals,
                        VALUES(value_i64(totals->pay_no), value_i64(totals->from_refunded), value_i64(totals->from_refunding),
                               value_i64(totals->refunded), value_i64(totals->refunding), value_i64(totals->stated_back)),
                        RC_RETRY, why, err);
    if (rc == RC_OK && totals->order_id != 0)
        rc = change(tx, &change_order,
                    VALUES(value_i64(totals->order_id), value_i64(totals->order_from_refunded), value_i64(totals->order_refunded)),
                    RC_RETRY, why, err);
    return rc;
}

enum rc settle_store_refunds(struct tx *tx, struct settle_writes *writes, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < writes->refund_insert_count; i++)
        rc = refund_insert(tx, &writes->refund_inserts[i], err);
    for (size_t i = 0; rc == RC_OK && i < writes->refund_change_count; i++) {
        const struct refund_change *c = &writes->refund_changes[i];
        rc = change(tx, &change_refund,
                    VALUES(value_i64(c->refund_no), value_i64(c->from), value_i64(c->to), value_text(c->code), value_text(c->message)),
                    RC_RETRY, "a refund has changed in between", err);
    }
    for (size_t i = 0; rc == RC_OK && i < writes->refund_totals_count; i++)
        rc = store_totals(tx, &writes->refund_totals[i], err);
    return rc;
}
