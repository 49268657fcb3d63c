/*
 * Lists of pay records, newest first. One statement per leading filter, as in order_list.c; the provider's trade number
 * is found through the events, where it is indexed. Called by core/pay.
 */
#include "config.h"

#include "store/sql/rows.h"

#define LIST(condition)                                                                                                           \
    "SELECT " RECORD_COLUMNS " FROM pay_records WHERE " condition " AND ($2 IS NULL OR app = $2) AND ($3 = 0 OR status = $3) "    \
    "AND ($4 IS NULL OR channel = $4) AND ($5 < 0 OR needs_review = ($5 = 1)) AND created_at >= $6 "                              \
    "AND ($7 = 0 OR created_at < $7) AND pay_no < $8 AND ($9 IS NULL OR trade_no = $9) AND ($10 IS NULL OR EXISTS "               \
    "(SELECT 1 FROM orders WHERE orders.order_id = pay_records.order_id AND orders.user_id = $10)) "                             \
    "ORDER BY pay_no DESC LIMIT $11"

static const struct sql by_trade = {
    .name = "record_list_trade",
    .text = LIST("pay_no IN (SELECT events.pay_no FROM events WHERE events.trade_no = $1)"),
};
static const struct sql by_user = {
    .name = "record_list_user",
    .text = LIST("order_id IN (SELECT orders.order_id FROM orders WHERE orders.user_id = $1)"),
};
static const struct sql by_app = { .name = "record_list_app", .text = LIST("app = $1") };
static const struct sql all = { .name = "record_list_all", .text = LIST("$1 IS NULL") };

enum rc record_list(struct tx *tx, const struct record_filter *filter, struct arena *arena, struct pay_record **ret,
                    size_t *ret_count, struct error *err)
{
    const struct sql *sql = &all;
    const char *lead = NULL;
    if (filter->trade_no != NULL)
        sql = &by_trade, lead = filter->trade_no;
    else if (filter->user_id != NULL)
        sql = &by_user, lead = filter->user_id;
    else if (filter->app != NULL)
        sql = &by_app, lead = filter->app;

    void *items;
    enum rc rc = tx_list(tx, sql,
                         VALUES(value_text(lead), value_text(filter->app), value_i64(filter->status), value_text(filter->channel),
                                value_i64(filter->needs_review), value_i64(filter->created_from), value_i64(filter->created_to),
                                value_i64(filter->before_id == 0 ? INT64_MAX : filter->before_id), value_text(filter->trade_no),
                                value_text(filter->user_id), value_i64((int64_t)filter->limit)),
                         arena, record_from_row, sizeof **ret, &items, ret_count, err);
    if (rc == RC_OK)
        *ret = items;
    return rc;
}
