/*
 * The control interface for tests and operators: /control in JSON. Not authenticated: whoever reaches the sandbox may use
 * it, which is why it listens on loopback.
 */
#ifndef SANDBOX_CONTROL_H
#define SANDBOX_CONTROL_H

#include <jansson.h>

#include "server.h"

extern const struct route_table control_routes;

/* control_sign.c: POST /control/sign-notice */
struct reply control_sign_notice(struct sandbox *sandbox, const struct request *request);

/* Takes over `json`. */
struct reply control_reply(unsigned status, json_t *json);
struct reply control_refuse(unsigned status, const char *text);

#endif
