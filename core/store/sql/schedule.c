/*
 * What to do when: a small table, so that looking for open work never touches the big ones. A row is held by its version,
 * so that what a put or another claim has taken over is left alone. Called by core/pay.
 */
#include "config.h"

#include "store/sql/rows.h"

static const struct sql put = {
    .name = "schedule_put",
    .text = "INSERT INTO query_schedule AS s (subject, task, channel, version, due_at) "
            "SELECT $1, $2, $3, " SCHEDULE_FIRST_VERSION ", pn_now_ms() + $4 WHERE true "
            "ON CONFLICT (subject) DO UPDATE SET " SCHEDULE_SOONER ", " SCHEDULE_GREATER,
};

enum rc schedule_put(struct tx *tx, const struct schedule_entry *entry, struct error *err)
{
    return tx_exec(tx, &put,
                   VALUES(value_i64(entry->subject), value_i64(entry->task), value_text(entry->channel), value_i64(entry->due_in_ms)),
                   NULL, err);
}

static const struct sql hold = {
    .name = "schedule_hold",
    .text = "INSERT INTO query_schedule AS s (subject, task, channel, version, claim, due_at) "
            "SELECT $1, $2, $3, " SCHEDULE_FIRST_VERSION ", $4, pn_now_ms() + $5 WHERE true "
            "ON CONFLICT (subject) DO UPDATE SET claim = excluded.claim, due_at = excluded.due_at, " SCHEDULE_GREATER
            " RETURNING version",
};

enum rc schedule_hold(struct tx *tx, const struct schedule_entry *entry, int64_t claim, int64_t *ret_version, struct error *err)
{
    return tx_i64(tx, &hold,
                  VALUES(value_i64(entry->subject), value_i64(entry->task), value_text(entry->channel), value_i64(claim),
                         value_i64(entry->due_in_ms)),
                  ret_version, err);
}

/* MATERIALIZED: without the fence the planner may lock more than the limit. */
static const struct sql claim_due = {
    .name = "schedule_claim",
    .text = "UPDATE query_schedule SET attempts = attempts + 1, version = version + 1, claim = $3, due_at = pn_now_ms() + $4 "
            "WHERE subject IN (SELECT subject FROM query_schedule WHERE channel = $1 AND due_at <= pn_now_ms() "
            "ORDER BY due_at LIMIT $2) RETURNING subject, task, channel, attempts, answers, unknowns, version",
    .pg = "WITH due AS MATERIALIZED (SELECT subject FROM query_schedule WHERE channel = $1 AND due_at <= pn_now_ms() "
          "ORDER BY due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED) "
          "UPDATE query_schedule AS s SET attempts = s.attempts + 1, version = s.version + 1, claim = $3, due_at = pn_now_ms() + $4 "
          "FROM due WHERE s.subject = due.subject RETURNING s.subject, s.task, s.channel, s.attempts, s.answers, s.unknowns, "
          "s.version",
};

static void scheduled_from_row(struct row *row, void *ret_scheduled)
{
    struct scheduled *scheduled = ret_scheduled;
    scheduled->subject = row_i64(row, 0);
    scheduled->task = (enum schedule_task)row_i64(row, 1);
    scheduled->channel = row_text(row, 2);
    scheduled->attempts = (int)row_i64(row, 3);
    scheduled->answers = (int)row_i64(row, 4);
    scheduled->unknowns = (int)row_i64(row, 5);
    scheduled->version = row_i64(row, 6);
}

enum rc schedule_claim(struct tx *tx, const char *channel, size_t limit, int64_t claim, int64_t lease_ms, struct arena *arena,
                       struct scheduled **ret, size_t *ret_count, struct error *err)
{
    void *items;
    enum rc rc = tx_list(tx, &claim_due,
                         VALUES(value_text(channel), value_i64((int64_t)limit), value_i64(claim), value_i64(lease_ms)), arena,
                         scheduled_from_row, sizeof **ret, &items, ret_count, err);
    if (rc == RC_OK)
        *ret = items;
    return rc;
}

/* 0, 1 and 2 are the values of enum schedule_answer. */
static const struct sql again = {
    .name = "schedule_again",
    .text = "UPDATE query_schedule SET due_at = pn_now_ms() + $3, claim = 0, "
            "answers = CASE WHEN $4 = 0 THEN answers + 1 ELSE answers END, "
            "unknowns = CASE WHEN $4 = 0 THEN 0 WHEN $4 = 1 THEN unknowns + 1 ELSE unknowns END WHERE subject = $1 AND version = $2",
};

enum rc schedule_again(struct tx *tx, int64_t subject, int64_t version, int64_t due_in_ms, enum schedule_answer answer,
                       struct error *err)
{
    return tx_exec(tx, &again, VALUES(value_i64(subject), value_i64(version), value_i64(due_in_ms), value_i64(answer)), NULL, err);
}

static const struct sql done = {
    .name = "schedule_done",
    .text = "DELETE FROM query_schedule WHERE subject = $1 AND ($2 = 0 OR version = $2)",
};

enum rc schedule_done(struct tx *tx, int64_t subject, int64_t version, struct error *err)
{
    return tx_exec(tx, &done, VALUES(value_i64(subject), value_i64(version)), NULL, err);
}

static const struct sql held = {
    .name = "schedule_held",
    .text = "SELECT count(*) FROM query_schedule WHERE subject = $1 AND version = $2",
};

enum rc schedule_held(struct tx *tx, int64_t subject, int64_t version, bool *ret_held, struct error *err)
{
    int64_t count;
    enum rc rc = tx_i64(tx, &held, VALUES(value_i64(subject), value_i64(version)), &count, err);
    if (rc == RC_OK)
        *ret_held = count > 0;
    return rc;
}

/*
 * Looks through the first $2 due rows and no further, however many are due. What a record or order is, is asked for row by
 * row: NOT EXISTS would let the planner read the whole table into a hash. Task 1 is TASK_QUERY and 6 TASK_EXPIRE,
 * 601001 and 600001 are unpaid, 600005 is closing; none comes back.
 */
#define SEEN "SELECT subject, task FROM query_schedule WHERE channel = $1 AND due_at <= pn_now_ms() ORDER BY due_at LIMIT $2"
#define MOOT(row)                                                                                                                 \
    "((" row ".task = 1 AND coalesce((SELECT status FROM pay_records WHERE pay_no = " row ".subject), 0) <> 601001) OR "          \
    "(" row ".task = 6 AND coalesce((SELECT status FROM orders WHERE order_id = " row ".subject), 0) NOT IN (600001, 600005)))"

static const struct sql prune = {
    .name = "schedule_prune",
    .text = "DELETE FROM query_schedule WHERE subject IN (SELECT subject FROM (" SEEN ") AS seen WHERE " MOOT("seen") ")",
    .pg = "WITH seen AS MATERIALIZED (" SEEN "), moot AS MATERIALIZED (SELECT subject FROM seen WHERE " MOOT("seen") ") "
          "DELETE FROM query_schedule WHERE subject = ANY (ARRAY(SELECT s.subject FROM query_schedule AS s, moot "
          "WHERE s.subject = moot.subject AND s.task IN (1, 6) FOR UPDATE OF s SKIP LOCKED))",
};

enum rc schedule_prune(struct tx *tx, const char *channel, size_t limit, size_t *ret_count, struct error *err)
{
    int64_t changed;
    enum rc rc = tx_exec(tx, &prune, VALUES(value_text(channel), value_i64((int64_t)limit)), &changed, err);
    if (rc == RC_OK)
        *ret_count = (size_t)changed;
    return rc;
}

/* 0 is nobody's: those rows keep the time they are due, and are not in the index. On PostgreSQL the rows are locked in the
 * order in which settlements lock theirs. */
static const struct sql release = {
    .name = "schedule_release",
    .text = "UPDATE query_schedule SET due_at = pn_now_ms(), claim = 0, version = version + 1 WHERE claim = $1 AND claim <> 0",
    .pg = "WITH held AS MATERIALIZED (SELECT subject FROM query_schedule WHERE claim = $1 AND claim <> 0 ORDER BY subject FOR NO KEY UPDATE) "
          "UPDATE query_schedule AS s SET due_at = pn_now_ms(), claim = 0, version = s.version + 1 "
          "FROM held WHERE s.subject = held.subject",
};

enum rc schedule_release(struct tx *tx, int64_t claim, struct error *err)
{
    return tx_exec(tx, &release, VALUES(value_i64(claim)), NULL, err);
}

static const struct sql depths = {
    .name = "schedule_depths",
    .text = "SELECT channel, count(*), count(*) FILTER (WHERE due_at <= pn_now_ms()), "
            "min(due_at) FILTER (WHERE due_at <= pn_now_ms()) FROM query_schedule GROUP BY channel ORDER BY channel",
};

static void depth_from_row(struct row *row, void *ret_depth)
{
    struct schedule_depth *depth = ret_depth;
    depth->channel = row_text(row, 0);
    depth->pending = row_i64(row, 1);
    depth->due = row_i64(row, 2);
    depth->oldest_due_at = row_i64(row, 3);
}

enum rc schedule_depths(struct tx *tx, struct arena *arena, struct schedule_depth **ret, size_t *ret_count, struct error *err)
{
    void *items;
    enum rc rc = tx_list(tx, &depths, NULL, 0, arena, depth_from_row, sizeof **ret, &items, ret_count, err);
    if (rc == RC_OK)
        *ret = items;
    return rc;
}
