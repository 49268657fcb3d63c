/*
 * What to ask providers when: a small table, so that looking for open work never touches the big ones. Called by
 * core/pay's follow-up work.
 */
#include "config.h"

#include "store/statement.h"

static const struct sql put = {
    .name = "schedule_put",
    .text = "INSERT INTO query_schedule (pay_no, close, attempts, due_at) SELECT $1, $2, 0, pn_now_ms() + $3 WHERE true "
            "ON CONFLICT (pay_no) DO UPDATE SET close = query_schedule.close OR excluded.close, due_at = "
            "CASE WHEN excluded.due_at < query_schedule.due_at THEN excluded.due_at ELSE query_schedule.due_at END",
};

enum rc schedule_put(struct tx *tx, int64_t pay_no, bool close, int64_t due_in_ms, struct error *err)
{
    return tx_exec(tx, &put, VALUES(value_i64(pay_no), value_bool(close), value_i64(due_in_ms)), NULL, err);
}

static const struct sql claim = {
    .name = "schedule_claim",
    .text = "UPDATE query_schedule SET attempts = attempts + 1, due_at = pn_now_ms() + $2 WHERE pay_no IN "
            "(SELECT pay_no FROM query_schedule WHERE due_at <= pn_now_ms() ORDER BY due_at LIMIT $1) "
            "RETURNING pay_no, attempts, close",
    .pg = "WITH due AS MATERIALIZED (SELECT pay_no FROM query_schedule WHERE due_at <= pn_now_ms() ORDER BY due_at LIMIT $1 "
          "FOR UPDATE SKIP LOCKED) UPDATE query_schedule AS s SET attempts = s.attempts + 1, due_at = pn_now_ms() + $2 "
          "FROM due WHERE s.pay_no = due.pay_no RETURNING s.pay_no, s.attempts, s.close",
};

static void scheduled_from_row(struct row *row, void *ret_scheduled)
{
    struct scheduled *scheduled = ret_scheduled;
    scheduled->pay_no = row_i64(row, 0);
    scheduled->attempts = (int)row_i64(row, 1);
    scheduled->close = row_bool(row, 2);
}

enum rc schedule_claim(struct tx *tx, size_t limit, int64_t lease_ms, struct arena *arena, struct scheduled **ret,
                       size_t *ret_count, struct error *err)
{
    void *items;
    enum rc rc = tx_list(tx, &claim, VALUES(value_i64((int64_t)limit), value_i64(lease_ms)), arena, scheduled_from_row,
                         sizeof **ret, &items, ret_count, err);
    if (rc == RC_OK)
        *ret = items;
    return rc;
}

static const struct sql again = {
    .name = "schedule_again",
    .text = "UPDATE query_schedule SET due_at = pn_now_ms() + $2 WHERE pay_no = $1",
};

enum rc schedule_again(struct tx *tx, int64_t pay_no, int64_t due_in_ms, struct error *err)
{
    return tx_exec(tx, &again, VALUES(value_i64(pay_no), value_i64(due_in_ms)), NULL, err);
}

static const struct sql done = {
    .name = "schedule_done",
    .text = "DELETE FROM query_schedule WHERE pay_no = $1",
};

enum rc schedule_done(struct tx *tx, int64_t pay_no, struct error *err)
{
    return tx_exec(tx, &done, VALUES(value_i64(pay_no)), NULL, err);
}
