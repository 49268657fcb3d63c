/*
 * What goes out to each channel's provider: whether a call may leave (breaker.h), how many are under way that nobody waits
 * for, and the figures that operators see. Inside core/pay only; one for each configured channel, made with struct pay.
 * Any thread.
 */
#ifndef PN_PAY_TRAFFIC_H
#define PN_PAY_TRAFFIC_H

#include "pay/breaker.h"
#include "pay/internal.h"

enum rc traffic_new(const struct config *config, struct traffic **ret_traffic, struct error *err);
void traffic_free(struct traffic *traffic); /* the array; NULL is fine */

struct traffic *traffic_of(const struct pay *pay, const struct config_channel *channel);

/* A question to the provider begins and ends; what it came to is counted when it had anything to send. */
void traffic_enter(struct traffic *traffic, bool background);
void traffic_leave(struct traffic *traffic, bool background);
void traffic_count(struct traffic *traffic, enum pn_operation operation, const char *outcome);

/* Whether a call would be held back, for those who can spare the work of making it. */
bool traffic_refuses(struct traffic *traffic);
/* Right before a call leaves; a granted permit goes back by one of the next three. */
struct breaker_permit traffic_permit(struct traffic *traffic);
void traffic_answered(struct traffic *traffic);
void traffic_failed(struct traffic *traffic, struct breaker_permit permit, const char *detail);
void traffic_unused(struct traffic *traffic, struct breaker_permit permit);

#endif
