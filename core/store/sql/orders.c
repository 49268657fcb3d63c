/*
 * Orders and their goods lines: one function, one statement. Called by core/pay inside its transactions.
 */
#include "config.h"

#include "store/sql/rows.h"

void order_from_row(struct row *row, void *ret_order)
{
    struct order *order = ret_order;
    order->order_id = row_i64(row, 0);
    order->app = row_text(row, 1);
    order->out_business_id = row_text(row, 2);
    order->user_id = row_text(row, 3);
    order->order_type = row_text(row, 4);
    order->name = row_text(row, 5);
    order->description = row_text(row, 6);
    order->amount_minor = row_i64(row, 7);
    order->currency = row_text(row, 8);
    order->attach = row_text(row, 9);
    order->return_url = row_text(row, 10);
    order->status = (enum order_status)row_i64(row, 11);
    order->refunded_minor = row_i64(row, 12);
    order->created_at = row_i64(row, 13);
    order->expires_at = row_i64(row, 14);
    order->paid_at = row_i64(row, 15);
    order->closed_at = row_i64(row, 16);
    order->paid_pay_no = row_i64(row, 17);
    order->last_event = row_i64(row, 18);
}

struct made {
    int64_t created_at, expires_at;
};

static void made_from_row(struct row *row, void *ret_made)
{
    struct made *made = ret_made;
    made->created_at = row_i64(row, 0);
    made->expires_at = row_i64(row, 1);
}

/* Does nothing when the number is taken, so that the transaction stays usable. */
static const struct sql insert_order = {
    .name = "order_insert",
    .text = "INSERT INTO orders (" ORDER_COLUMNS ") "
            "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, now, now + $13, NULL, NULL, NULL, NULL "
            "FROM (SELECT pn_now_ms() AS now) AS clock WHERE true "
            "ON CONFLICT (app, out_business_id) WHERE closed_at IS NULL DO NOTHING RETURNING created_at, expires_at",
};

static const struct sql insert_line = {
    .name = "order_insert_line",
    .text = "INSERT INTO order_goods (order_id, line, goods_id, goods_type, name, detail, price_minor, quantity) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
};

static enum rc insert_lines(struct tx *tx, int64_t order_id, const struct order_line *lines, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct order_line *line = &lines[i];
        enum rc rc = tx_exec(tx, &insert_line,
                             VALUES(value_i64(order_id), value_i64((int64_t)i), value_text(line->goods_id),
                                    value_text(line->goods_type), value_text(line->name), value_text(line->detail),
                                    value_i64(line->price_minor), value_i64(line->quantity)),
                             NULL, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc order_insert(struct tx *tx, struct order *order, int64_t expires_in_ms, const struct order_line *lines, size_t line_count,
                     struct error *err)
{
    struct made made;
    struct arena *arena = arena_new(0);
    enum rc rc = tx_one(tx, &insert_order,
                        VALUES(value_i64(order->order_id), value_text(order->app), value_text(order->out_business_id),
                               value_text(order->user_id), value_text(order->order_type), value_text(order->name),
                               value_text(order->description), value_i64(order->amount_minor), value_text(order->currency),
                               value_text(order->attach), value_text(order->return_url), value_i64(order->status),
                               value_i64(expires_in_ms)),
                        arena, made_from_row, &made, sizeof made, err);
    arena_free(arena);
    if (rc == RC_NOT_FOUND)
        return error_set(err, RC_EXISTS, "an open order has this out_business_id");
    if (rc == RC_OK)
        rc = insert_lines(tx, order->order_id, lines, line_count, err);
    if (rc != RC_OK)
        return rc;
    order->created_at = made.created_at;
    order->expires_at = made.expires_at;
    return RC_OK;
}

static const struct sql get = {
    .name = "order_get",
    .text = "SELECT " ORDER_COLUMNS " FROM orders WHERE order_id = $1",
};

enum rc order_get(struct tx *tx, int64_t order_id, struct arena *arena, struct order *ret, struct error *err)
{
    enum rc rc = tx_one(tx, &get, VALUES(value_i64(order_id)), arena, order_from_row, ret, sizeof *ret, err);
    return rc == RC_NOT_FOUND ? error_set(err, rc, "there is no such order") : rc;
}

static const struct sql find_open = {
    .name = "order_find_open",
    .text = "SELECT " ORDER_COLUMNS " FROM orders WHERE app = $1 AND out_business_id = $2 AND closed_at IS NULL",
};

enum rc order_find_open(struct tx *tx, const char *app, const char *out_business_id, struct arena *arena, struct order *ret,
                        struct error *err)
{
    enum rc rc = tx_one(tx, &find_open, VALUES(value_text(app), value_text(out_business_id)), arena, order_from_row, ret,
                        sizeof *ret, err);
    return rc == RC_NOT_FOUND ? error_set(err, rc, "there is no open order with this out_business_id") : rc;
}

static const struct sql lock = {
    .name = "order_lock",
    .text = "SELECT " ORDER_COLUMNS " FROM orders WHERE order_id = $1",
    .pg = "SELECT " ORDER_COLUMNS " FROM orders WHERE order_id = $1 FOR NO KEY UPDATE",
};

enum rc order_lock(struct tx *tx, int64_t order_id, struct arena *arena, struct order *ret, struct error *err)
{
    enum rc rc = tx_one(tx, &lock, VALUES(value_i64(order_id)), arena, order_from_row, ret, sizeof *ret, err);
    return rc == RC_NOT_FOUND ? error_set(err, rc, "there is no such order") : rc;
}

static void line_from_row(struct row *row, void *ret_line)
{
    struct order_line *line = ret_line;
    line->goods_id = row_text(row, 0);
    line->goods_type = row_text(row, 1);
    line->name = row_text(row, 2);
    line->detail = row_text(row, 3);
    line->price_minor = row_i64(row, 4);
    line->quantity = row_i64(row, 5);
}

static const struct sql get_lines = {
    .name = "order_lines",
    .text = "SELECT goods_id, goods_type, name, detail, price_minor, quantity FROM order_goods WHERE order_id = $1 ORDER BY line",
};

enum rc order_lines(struct tx *tx, int64_t order_id, struct arena *arena, struct order_line **ret, size_t *ret_count,
                    struct error *err)
{
    void *items;
    enum rc rc = tx_list(tx, &get_lines, VALUES(value_i64(order_id)), arena, line_from_row, sizeof **ret, &items, ret_count, err);
    if (rc == RC_OK)
        *ret = items;
    return rc;
}
