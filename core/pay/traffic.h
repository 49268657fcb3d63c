/*
 * What goes out to each channel's provider: how many calls at once, and how many of them nobody waits for. Inside core/pay
 * only; made with struct pay, one for each configured channel.
 */
#ifndef PN_PAY_TRAFFIC_H
#define PN_PAY_TRAFFIC_H

#include "pay/internal.h"

enum rc traffic_new(const struct config *config, struct traffic **ret_traffic, struct error *err);
void traffic_free(struct traffic *traffic); /* the array; NULL is fine */

struct traffic *traffic_of(const struct pay *pay, const struct config_channel *channel);

/* A call begins and ends. Any thread. */
void traffic_enter(struct traffic *traffic, bool background);
void traffic_leave(struct traffic *traffic, bool background);

#endif
