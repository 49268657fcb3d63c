/*
 * Checks of JSON objects; see json.h. Pure functions; any thread.
 */
#include "json.h"

#include <string.h>

bool json_has_only(const json_t *json, const char *const *names)
{
    const char *name;
    json_t *value;
    if (!json_is_object(json))
        return false;
    json_object_foreach((json_t *)json, name, value) {
        const char *const *known = names;
        while (*known && strcmp(*known, name) != 0)
            known++;
        if (!*known)
            return false;
    }
    return true;
}

bool json_text(const json_t *object, const char *name, const char **ret_text)
{
    const json_t *value = json_object_get(object, name);
    if (value && !json_is_string(value))
        return false;
    *ret_text = json_string_value(value);
    return true;
}

bool json_is_fields(const json_t *json)
{
    const char *name;
    json_t *value;
    if (!json_is_object(json))
        return false;
    json_object_foreach((json_t *)json, name, value)
        if (name[0] == '\0' || (!json_is_string(value) && !json_is_null(value)))
            return false;
    return true;
}
