/*
 * The files that the cashier's page loads, embedded at build time from core/http/assets/. Any thread.
 */
#ifndef PN_HTTP_ASSETS_H
#define PN_HTTP_ASSETS_H

#include "base/arena.h"

struct embedded {
    const char *name; /* "cashier.css" */
    const char *text;
};
extern const struct embedded embedded_assets[]; /* ends with one without a name; made by assets/embed.awk */

/* The file's text; NULL when there is none. *ret_version: what its content hashes to, 16 hex digits. */
const char *asset_find(const char *name, const char **ret_version);

/* "cashier.css?v=…": a URL whose content never changes, relative to the page that stands beside it. */
const char *asset_url(const char *name, struct arena *arena);

#endif
