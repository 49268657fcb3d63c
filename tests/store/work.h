/*
 * The schedule's operations with few words, for its tests: each in a transaction that has to succeed.
 */
#ifndef PN_TESTS_STORE_WORK_H
#define PN_TESTS_STORE_WORK_H

#include "fixture.h"

enum { HOUR_MS = 3600 * 1000 };

void work_put(int64_t subject, enum schedule_task task, const char *channel, int64_t due_in_ms);
int64_t work_hold(int64_t subject, enum schedule_task task, const char *channel, int64_t claim, int64_t due_in_ms);
size_t work_claim(const char *channel, size_t limit, int64_t claim, int64_t lease_ms, struct scheduled **ret); /* ret may be NULL */
struct scheduled work_claim_one(const char *channel, int64_t lease_ms); /* the only row that is due */
size_t work_count_due(const char *channel); /* by claiming them for no time */
void work_again(const struct scheduled *row, int64_t due_in_ms, enum schedule_answer answer);
bool work_is_held(int64_t subject, int64_t version);
void work_done(int64_t subject, int64_t version);
size_t work_prune(const char *channel, size_t limit);
void work_release(int64_t claim);

/* A row as it lies in the books. */
struct lying {
    int64_t subject;
    bool there, due;
    struct scheduled row; /* its subject is not filled in */
    int64_t claim;
};
struct lying work_look(int64_t subject);

#endif
