/*
 * The addresses of a host name, with a deadline: getaddrinfo itself may wait half a minute for a name server that is
 * down, and nothing can wake it.
 */
#ifndef PAYNOTIFY_RABBITMQ_RESOLVE_H
#define PAYNOTIFY_RABBITMQ_RESOLVE_H

#include "fault.h"
#include "url.h"

#include <netdb.h>
#include <stdatomic.h>
#include <stdint.h>

struct resolution; /* a question that is out */

/* Asks, or goes on waiting for the question in `*pending`, until the deadline or until `*interrupted`. 0 and a list for
 * freeaddrinfo, or -1 with `fault`; a question without an answer yet stays in `*pending`. */
int resolve(struct resolution **pending, const struct url *url, const atomic_bool *interrupted, int64_t deadline_ms,
            struct addrinfo **ret_list, struct fault *fault);

/* Lets go of a question, answered or not. Waits for nothing. */
void resolve_forget(struct resolution *pending);

#endif
