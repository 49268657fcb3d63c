/*
 * Matching of method and path against a table of routes. Called on HTTP threads for every request.
 */
#include "http/route.h"

#include <stdio.h>
#include <string.h>

static bool path_matches(const char *pattern, const char *path, const char **ret_id, size_t *ret_len)
{
    const char *id = NULL;
    size_t id_len = 0;
    while (*pattern) {
        if (*pattern == '{') {
            id = path;
            id_len = strcspn(path, "/");
            if (id_len == 0)
                return false;
            path += id_len;
            pattern = strchr(pattern, '}') + 1;
            continue;
        }
        if (*pattern++ != *path++)
            return false;
    }
    if (*path)
        return false;
    *ret_id = id;
    *ret_len = id_len;
    return true;
}

static void allow(struct route_match *match, const char *method)
{
    size_t used = strlen(match->allow);
    const char *also = strcmp(method, "GET") == 0 ? ", HEAD" : "";
    if (strstr(match->allow, method))
        return;
    snprintf(match->allow + used, sizeof match->allow - used, "%s%s%s", used ? ", " : "", method, also);
}

void route_find(const struct http_route *routes, size_t count, unsigned side, const char *method, const char *path,
                struct route_match *ret_match)
{
    *ret_match = (struct route_match){ 0 };
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    for (size_t i = 0; i < count; i++) {
        const struct http_route *route = &routes[i];
        const char *id;
        size_t id_len;
        if (!(route->sides & side) || !path_matches(route->path, path, &id, &id_len))
            continue;
        if (strcmp(route->method, wanted) == 0) {
            *ret_match = (struct route_match){ .route = route, .id = id, .id_len = id_len };
            return;
        }
        allow(ret_match, route->method);
        ret_match->other = route;
    }
}

const char *route_role_name(enum route_role role)
{
    switch (role) {
    case FOR_ANYONE: return "anyone";
    case FOR_APPS: return "app";
    case FOR_OPERATORS: return "operator";
    }
    return "?";
}
