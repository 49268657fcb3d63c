/*
 * Suspended requests and when they must be answered at the latest. libmicrohttpd never times out a suspended connection
 * and aborts the process when it is stopped with one, so every suspended request stands in here.
 */
#ifndef PN_HTTP_DEADLINE_H
#define PN_HTTP_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct deadlines;
struct http_request;

enum deadline_class { DEADLINE_NOTIFY, DEADLINE_WORK, DEADLINE_CLASSES };

/* Runs on the deadline thread (or in deadlines_close) for a request that nobody has claimed when its time is up. The
 * caller holds a reference during the call. `closing`: because of the shutdown. */
typedef void (*deadline_fn)(void *arg, struct http_request *request, bool closing);

enum rc deadlines_new(const int64_t ms[DEADLINE_CLASSES], deadline_fn expired, void *arg, struct deadlines **ret, struct error *err);

/* Enters the request; false after deadlines_close, and then it must not be suspended. HTTP threads. */
bool deadlines_add(struct deadlines *deadlines, struct http_request *request, enum deadline_class class);
void deadlines_remove(struct deadlines *deadlines, struct http_request *request); /* any thread; may be out already */

/* Expires everything that is in, and lets nothing in from now on. */
void deadlines_close(struct deadlines *deadlines);
size_t deadlines_waiting(struct deadlines *deadlines);
void deadlines_free(struct deadlines *deadlines); /* joins the thread */

#endif
