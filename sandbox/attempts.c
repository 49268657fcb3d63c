/*
 * The log of attempts at a notice; see attempts.h. No lock of its own.
 */
#include "attempts.h"

#include <stdlib.h>

#include "text.h"

struct attempt *attempts_add(struct attempts *attempts, int64_t at_ms)
{
    struct attempt *attempt = need(calloc(1, sizeof *attempt));
    attempt->at_ms = at_ms;
    if (attempts->last)
        attempts->last->next = attempt;
    else
        attempts->first = attempt;
    attempts->last = attempt;
    return attempt;
}

void attempts_free(struct attempts *attempts)
{
    for (struct attempt *attempt = attempts->first, *next; attempt; attempt = next) {
        next = attempt->next;
        free(attempt->error);
        free(attempt);
    }
    *attempts = (struct attempts){0};
}

static json_t *describe(const struct attempt *attempt)
{
    json_t *answer = json_string(attempt->answer); /* NULL when it is no UTF-8 */
    if (!answer)
        answer = json_string("(not UTF-8)");
    return json_pack("{s:I,s:b,s:i,s:o,s:s?,s:b}", "at_ms", (json_int_t)attempt->at_ms, "sent", attempt->sent, "status",
                     (int)attempt->status, "answer", answer, "error", attempt->error, "accepted", attempt->accepted);
}

json_t *attempts_describe(const struct attempts *attempts)
{
    json_t *list = json_array();
    for (const struct attempt *attempt = attempts->first; attempt; attempt = attempt->next)
        json_array_append_new(list, describe(attempt));
    return list;
}
