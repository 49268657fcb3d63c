/*
 * Lists of orders, newest first. One statement per leading filter, so that each is answered from its index; what else is
 * asked for narrows that. Called by core/pay.
 */
#include "config.h"

#include "store/sql/rows.h"

#define LIST(condition)                                                                                                           \
    "SELECT " ORDER_COLUMNS " FROM orders WHERE " condition " AND ($2 IS NULL OR app = $2) AND ($3 IS NULL OR user_id = $3) "     \
    "AND ($4 = 0 OR status = $4) AND created_at >= $5 AND ($6 = 0 OR created_at < $6) AND order_id < $7 "                         \
    "ORDER BY order_id DESC LIMIT $8"

static const struct sql by_number = { .name = "order_list_number", .text = LIST("out_business_id = $1") };
static const struct sql by_user = { .name = "order_list_user", .text = LIST("user_id = $1") };
static const struct sql by_app = { .name = "order_list_app", .text = LIST("app = $1") };
static const struct sql all = { .name = "order_list_all", .text = LIST("$1 IS NULL") };

enum rc order_list(struct tx *tx, const struct order_filter *filter, struct arena *arena, struct order **ret, size_t *ret_count,
                   struct error *err)
{
    const struct sql *sql = &all;
    const char *lead = NULL;
    if (filter->out_business_id != NULL)
        sql = &by_number, lead = filter->out_business_id;
    else if (filter->user_id != NULL)
        sql = &by_user, lead = filter->user_id;
    else if (filter->app != NULL)
        sql = &by_app, lead = filter->app;

    void *items;
    enum rc rc = tx_list(tx, sql,
                         VALUES(value_text(lead), value_text(filter->app), value_text(filter->user_id), value_i64(filter->status),
                                value_i64(filter->created_from), value_i64(filter->created_to),
                                value_i64(filter->before_id == 0 ? INT64_MAX : filter->before_id),
                                value_i64((int64_t)filter->limit)),
                         arena, order_from_row, sizeof **ret, &items, ret_count, err);
    if (rc == RC_OK)
        *ret = items;
    return rc;
}
