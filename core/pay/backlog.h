/*
 * How much the schedule has to do, for /metrics. Looked at now and then by the follow-up's thread, because counting costs
 * what there is to count.
 */
#ifndef PN_PAY_BACKLOG_H
#define PN_PAY_BACKLOG_H

#include "pay/internal.h"

/* How metrics call a channel of the schedule: "(expiry)" for the orders' ends, which ask no provider. */
const char *backlog_label(const char *channel);

struct backlog;
struct backlog *backlog_new(struct pay *pay); /* NULL: out of memory */
void backlog_free(struct backlog *backlog);
/* Does nothing when it has looked lately. The first look warns of channels whose work nobody does. */
void backlog_look(struct backlog *backlog);

#endif
