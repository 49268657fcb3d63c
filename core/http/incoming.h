/*
 * An HTTP request as a channel plugin judges it: what came in at /notify/{channel} or /return/{channel}. HTTP threads.
 */
#ifndef PN_HTTP_INCOMING_H
#define PN_HTTP_INCOMING_H

#include <paynotify/plugin.h>

#include "http/request.h"

struct notify_channel;

/* In the request's arena; its body points into the request. NULL without memory. */
const struct pn_http_incoming *incoming_read(struct http_request *request, const char *method);

/* The configured channel of this name; NULL: none. */
const struct notify_channel *incoming_channel(const struct http_server *server, const char *name);

#endif
