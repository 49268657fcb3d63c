/*
 * ${NAME} in values of paynotify.conf. Used by ini.c at start-up.
 */
#ifndef PN_CONFIG_EXPAND_H
#define PN_CONFIG_EXPAND_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

/* `value` with each ${NAME} replaced from the environment, in the arena. *ret_whole: the value was one ${NAME} and nothing
 * else. A name that is not set, or a "${" without its end, is RC_CONFIG. "$" before anything but "{" stays. */
enum rc expand(const char *value, struct arena *arena, const char **ret_text, bool *ret_whole, struct error *err);

#endif
