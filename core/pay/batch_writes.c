/*
 * What a batch writes: the differences between the picture that was loaded and the one that was decided on, each row named
 * once. Called by batch.c, on the committer's thread.
 */
#include "pay/batch.h"

/* Both arrays come sorted from the store. */
struct pay_record *batch_record(const struct batch *batch, int64_t pay_no)
{
    size_t low = 0, high = batch->record_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (batch->records[middle].pay_no < pay_no)
            low = middle + 1;
        else
            high = middle;
    }
    return low < batch->record_count && batch->records[low].pay_no == pay_no ? &batch->records[low] : NULL;
}

struct order *batch_order(const struct batch *batch, int64_t order_id)
{
    size_t low = 0, high = batch->order_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (batch->orders[middle].order_id < order_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < batch->order_count && batch->orders[low].order_id == order_id ? &batch->orders[low] : NULL;
}

static bool record_differs(const struct pay_record *a, const struct pay_record *b)
{
    return a->status != b->status || a->needs_review != b->needs_review;
}

static bool has_paid(const struct pay_record *record)
{
    return record->status == PAYMENT_PAID || record->status == PAYMENT_REFUNDED;
}

static enum rc collect_changes(struct batch *batch, struct error *err)
{
    struct record_change *records = arena_alloc(batch->arena, (batch->record_count + 1) * sizeof *records);
    struct order_change *orders = arena_alloc(batch->arena, (batch->order_count + 1) * sizeof *orders);
    if (!records || !orders)
        return error_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < batch->record_count; i++) {
        const struct pay_record *before = &batch->records_before[i], *after = &batch->records[i];
        if (!record_differs(before, after))
            continue;
        bool paid = !has_paid(before) && has_paid(after);
        records[batch->writes.record_count++] = (struct record_change){
            .pay_no = after->pay_no, .from = before->status, .to = after->status,
            .trade_no = paid ? after->trade_no : NULL, .payer = paid ? after->payer : NULL,
            .paid_at = paid ? after->paid_at : 0, .needs_review = after->needs_review,
        };
    }
    for (size_t i = 0; i < batch->order_count; i++) {
        const struct order *before = &batch->orders_before[i], *after = &batch->orders[i];
        if (before->status == after->status && before->last_event == after->last_event)
            continue;
        bool paid = after->paid_pay_no != before->paid_pay_no;
        orders[batch->writes.order_count++] = (struct order_change){
            .order_id = after->order_id, .from = before->status, .to = after->status,
            .paid_pay_no = paid ? after->paid_pay_no : 0, .paid_at = paid ? after->paid_at : 0,
            .last_event = after->last_event == before->last_event ? 0 : after->last_event,
        };
    }
    batch->writes.records = records;
    batch->writes.orders = orders;
    return RC_OK;
}

static void collect_book(struct batch *batch, const struct refund_book *book, const struct refund *before, struct refund_change *changes)
{
    for (size_t i = 0; i < book->count; i++) {
        struct refund *after = &book->items[i];
        if (!before || !after->created_at) /* made in this batch */
            batch->writes.refund_inserts[batch->writes.refund_insert_count++] = *after;
        else if (after->status != before[i].status || after->code != before[i].code || after->message != before[i].message)
            changes[batch->writes.refund_change_count++] = (struct refund_change){
                .refund_no = after->refund_no, .from = before[i].status, .to = after->status,
                .code = after->code, .message = after->message,
            };
    }
}

static void collect_totals(struct batch *batch, int64_t pay_no, struct refund_totals *totals)
{
    const struct pay_record *after = batch_record(batch, pay_no), *before = &batch->records_before[after - batch->records];
    const struct order *order = batch_order(batch, after->order_id), *order_before = &batch->orders_before[order - batch->orders];
    if (after->refunded_minor == before->refunded_minor && after->refunding_minor == before->refunding_minor &&
        after->stated_back_minor == before->stated_back_minor)
        return;
    bool moves_order = order->paid_pay_no == pay_no && order->refunded_minor != order_before->refunded_minor;
    totals[batch->writes.refund_totals_count++] = (struct refund_totals){
        .pay_no = pay_no, .from_refunded = before->refunded_minor, .from_refunding = before->refunding_minor,
        .refunded = after->refunded_minor, .refunding = after->refunding_minor, .stated_back = after->stated_back_minor,
        .order_id = moves_order ? order->order_id : 0, .order_from_refunded = order_before->refunded_minor,
        .order_refunded = order->refunded_minor,
    };
}

static enum rc collect_refunds(struct batch *batch, struct error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->book_count; i++)
        count += batch->books[i].count;
    if (count == 0)
        return RC_OK;
    struct refund_change *changes = arena_alloc(batch->arena, count * sizeof *changes);
    struct refund_totals *totals = arena_alloc(batch->arena, batch->book_count * sizeof *totals);
    batch->writes.refund_inserts = arena_alloc(batch->arena, count * sizeof *batch->writes.refund_inserts);
    if (!changes || !totals || !batch->writes.refund_inserts)
        return error_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < batch->book_count; i++) {
        collect_book(batch, &batch->books[i], batch->books_before[i], changes);
        collect_totals(batch, batch->books[i].pay_no, totals);
    }
    batch->writes.refund_changes = changes;
    batch->writes.refund_totals = totals;
    return RC_OK;
}

enum rc batch_collect(struct batch *batch, struct error *err)
{
    enum rc rc = collect_changes(batch, err);
    return rc ? rc : collect_refunds(batch, err);
}
