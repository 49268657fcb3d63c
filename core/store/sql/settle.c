/*
 * The door to the settlement's two operations, and the database's clock. Called by core/pay's committer.
 */
#include "config.h"

#include "store/driver.h"

enum rc settle_load(struct tx *tx, const int64_t *pay_nos, size_t count, struct arena *arena, struct order **ret_orders,
                    size_t *ret_order_count, struct pay_record **ret_records, size_t *ret_record_count, struct error *err)
{
    return tx->driver->settle_load(tx, pay_nos, count, arena, ret_orders, ret_order_count, ret_records, ret_record_count, err);
}

enum rc settle_store(struct tx *tx, struct settle_writes *writes, struct error *err)
{
    enum rc rc = settle_store_refunds(tx, writes, err);
    return rc == RC_OK ? tx->driver->settle_store(tx, writes, err) : rc;
}

static const struct sql now = {
    .name = "now",
    .text = "SELECT pn_now_ms()",
};

enum rc tx_now(struct tx *tx, int64_t *ret_ms, struct error *err)
{
    return tx_i64(tx, &now, NULL, 0, ret_ms, err);
}
