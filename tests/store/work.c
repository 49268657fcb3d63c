/*
 * See work.h.
 */
#include "config.h"

#include "work.h"

#include "store/statement.h"

struct call {
    struct schedule_entry entry;
    const char *channel;
    size_t limit;
    int64_t claim, ms, subject, version;
    enum schedule_answer answer;
    bool held;
    struct scheduled *items;
    size_t count;
};
TX(put_tx, struct call, return schedule_put(tx, &a->entry, err);)
TX(hold_tx, struct call, return schedule_hold(tx, &a->entry, a->claim, &a->version, err);)
TX(claim_tx, struct call,
   return schedule_claim(tx, a->channel, a->limit, a->claim, a->ms, arena, &a->items, &a->count, err);)
TX(again_tx, struct call, return schedule_again(tx, a->subject, a->version, a->ms, a->answer, err);)
TX(held_tx, struct call, return schedule_held(tx, a->subject, a->version, &a->held, err);)
TX(done_tx, struct call, return schedule_done(tx, a->subject, a->version, err);)
TX(prune_tx, struct call, return schedule_prune(tx, a->channel, a->limit, &a->count, err);)
TX(release_tx, struct call, return schedule_release(tx, a->claim, err);)

void work_put(int64_t subject, enum schedule_task task, const char *channel, int64_t due_in_ms)
{
    write_ok(put_tx, &(struct call){ .entry = { subject, task, channel, due_in_ms } });
}

int64_t work_hold(int64_t subject, enum schedule_task task, const char *channel, int64_t claim, int64_t due_in_ms)
{
    struct call call = { .entry = { subject, task, channel, due_in_ms }, .claim = claim };
    write_ok(hold_tx, &call);
    return call.version;
}

size_t work_claim(const char *channel, size_t limit, int64_t claim, int64_t lease_ms, struct scheduled **ret)
{
    struct call call = { .channel = channel, .limit = limit, .claim = claim, .ms = lease_ms };
    write_ok(claim_tx, &call);
    if (ret != NULL)
        *ret = call.items;
    return call.count;
}

struct scheduled work_claim_one(const char *channel, int64_t lease_ms)
{
    struct scheduled *items;
    assert_int_equal(work_claim(channel, 10, 1, lease_ms, &items), 1);
    return items[0];
}

size_t work_count_due(const char *channel)
{
    return work_claim(channel, 100, 1, 0, NULL);
}

void work_again(const struct scheduled *row, int64_t due_in_ms, enum schedule_answer answer)
{
    write_ok(again_tx, &(struct call){ .subject = row->subject, .version = row->version, .ms = due_in_ms, .answer = answer });
}

bool work_is_held(int64_t subject, int64_t version)
{
    struct call call = { .subject = subject, .version = version };
    read_ok(held_tx, &call);
    return call.held;
}

void work_done(int64_t subject, int64_t version)
{
    write_ok(done_tx, &(struct call){ .subject = subject, .version = version });
}

size_t work_prune(const char *channel, size_t limit)
{
    struct call call = { .channel = channel, .limit = limit };
    write_ok(prune_tx, &call);
    return call.count;
}

void work_release(int64_t claim)
{
    write_ok(release_tx, &(struct call){ .claim = claim });
}

static const struct sql look_sql = {
    .name = "test_schedule_look",
    .text = "SELECT task, channel, attempts, answers, unknowns, version, claim, due_at <= pn_now_ms() FROM query_schedule WHERE subject = $1",
};

static void lying_from_row(struct row *row, void *ret_lying)
{
    struct lying *lying = ret_lying;
    lying->there = true;
    lying->row.task = (enum schedule_task)row_i64(row, 0);
    lying->row.channel = row_text(row, 1);
    lying->row.attempts = (int)row_i64(row, 2);
    lying->row.answers = (int)row_i64(row, 3);
    lying->row.unknowns = (int)row_i64(row, 4);
    lying->row.version = row_i64(row, 5);
    lying->claim = row_i64(row, 6);
    lying->due = row_bool(row, 7);
}
TX(look_tx, struct lying, enum rc rc = tx_one(tx, &look_sql, VALUES(value_i64(a->subject)), arena, lying_from_row, a, sizeof *a, err);
   return rc == RC_NOT_FOUND ? RC_OK : rc;)

struct lying work_look(int64_t subject)
{
    struct lying lying = { .subject = subject };
    read_ok(look_tx, &lying);
    return lying;
}
