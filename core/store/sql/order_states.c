/*
 * The state changes of an order that are not settlements: each one conditional UPDATE. Called by core/pay with the order
 * locked.
 */
#include "config.h"

#include "store/statement.h"

static enum rc change(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, const char *conflict,
                      struct error *err)
{
    int64_t changed;
    enum rc rc = tx_exec(tx, sql, values, count, &changed, err);
    if (rc == RC_OK && changed == 0)
        return error_set(err, RC_CONFLICT, "%s", conflict);
    return rc;
}

/* The states: 600001 unpaid, 600002 paid, 600003 closed, 600005 closing. */
static const struct sql set_closing = {
    .name = "order_set_closing",
    .text = "UPDATE orders SET status = 600005 WHERE order_id = $1 AND status = 600001",
};

enum rc order_set_closing(struct tx *tx, int64_t order_id, struct error *err)
{
    return change(tx, &set_closing, VALUES(value_i64(order_id)), "the order is not unpaid", err);
}

static const struct sql set_closed = {
    .name = "order_set_closed",
    .text = "UPDATE orders SET status = 600003, closed_at = pn_now_ms(), last_event = $2 "
            "WHERE order_id = $1 AND status IN (600001, 600005)",
};

enum rc order_set_closed(struct tx *tx, int64_t order_id, int64_t event_id, struct error *err)
{
    return change(tx, &set_closed, VALUES(value_i64(order_id), value_id(event_id)), "the order is neither unpaid nor closing", err);
}

static const struct sql number_taken = {
    .name = "order_number_taken",
    .text = "SELECT count(*) FROM orders AS other JOIN orders AS mine ON other.app = mine.app "
            "AND other.out_business_id = mine.out_business_id WHERE mine.order_id = $1 AND other.order_id <> $1 "
            "AND other.closed_at IS NULL",
};

/* The unique index decides a race; the look before only keeps the transaction usable in the common case. */
static const struct sql set_accepted = {
    .name = "order_set_accepted",
    .text = "UPDATE orders SET status = 600002, closed_at = NULL, paid_pay_no = $2, paid_at = $3, last_event = $4 "
            "WHERE order_id = $1 AND status = 600003",
    .exists = true,
};

static const struct sql reviewed = {
    .name = "record_reviewed",
    .text = "UPDATE pay_records SET needs_review = false WHERE pay_no = $1",
};

enum rc order_set_accepted(struct tx *tx, int64_t order_id, int64_t pay_no, int64_t paid_at, int64_t event_id, struct error *err)
{
    int64_t taken;
    enum rc rc = tx_i64(tx, &number_taken, VALUES(value_i64(order_id)), &taken, err);
    if (rc != RC_OK)
        return rc;
    if (taken > 0)
        return error_set(err, RC_EXISTS, "a newer order has this out_business_id");
    rc = change(tx, &set_accepted, VALUES(value_i64(order_id), value_i64(pay_no), value_id(paid_at), value_id(event_id)),
                "the order is not closed", err);
    if (rc != RC_OK)
        return rc;
    return tx_exec(tx, &reviewed, VALUES(value_i64(pay_no)), NULL, err);
}
