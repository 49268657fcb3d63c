/*
 * Bearer API keys. Stored are only their SHA-256 sums. Any thread.
 */
#ifndef PN_HTTP_AUTH_H
#define PN_HTTP_AUTH_H

#include "config/config.h"

/* The app whose key the Authorization header carries; NULL when there is none. The time does not tell which or how many
 * bytes were right. */
const struct config_app *auth_app(const struct config *config, const char *authorization);

#endif
