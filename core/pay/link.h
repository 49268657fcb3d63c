/*
 * Signed links for payers. The key file (made at first start, shared by all servers) holds one hex key a line: the first
 * signs, all verify, so a key can be rotated. Read-only after links_open; any thread.
 */
#ifndef PN_PAY_LINK_H
#define PN_PAY_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

struct links;

enum rc links_open(const char *key_file, struct links **ret_links, struct error *err);
void links_free(struct links *links);

/* "1f3a-<32 hex digits>": the key's id and a MAC over purpose and id. */
const char *link_sign(const struct links *links, const char *purpose, int64_t id, struct arena *arena);
bool link_verify(const struct links *links, const char *purpose, int64_t id, const char *signature);

#endif
