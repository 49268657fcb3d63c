/*
 * A helper for JSON that people write by hand: a misspelt member must not pass silently. Used by faults and control.
 */
#ifndef SANDBOX_JSON_H
#define SANDBOX_JSON_H

#include <jansson.h>
#include <stdbool.h>

/* An object with no members but `names` (NULL ends the list). */
bool json_has_only(const json_t *json, const char *const *names);

/* Text in *ret_text, or NULL when the member is absent. False: it is there and no text. */
bool json_text(const json_t *object, const char *name, const char **ret_text);

/* A non-empty name each, and text or null. */
bool json_is_fields(const json_t *json);

#endif
