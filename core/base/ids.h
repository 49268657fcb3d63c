/*
 * Snowflake ids: 41 bits of milliseconds since 2024-01-01, 10 of node, 12 of sequence; always positive, increasing
 * within a process. The node number is a lease (store.h, nodes): when it lapses, ids_next refuses. Any thread.
 */
#ifndef PN_BASE_IDS_H
#define PN_BASE_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { ID_TEXT_MAX = 21 };

/* Starts or renews: ids carry `node` (0…1023) until the monotonic clock reaches lease_until_mono_ms. No id is given out
 * for a millisecond at or before floor_wall_ms. */
void ids_lease(int node, int64_t floor_wall_ms, int64_t lease_until_mono_ms);
void ids_revoke(void);

/* RC_UNAVAILABLE without a living lease. May wait up to a millisecond when the sequence is used up. */
enum rc ids_next(int64_t *ret_id);

int64_t ids_time_ms(int64_t id); /* when it was made, Unix ms */
const char *id_format(int64_t id, char ret_text[ID_TEXT_MAX]);
/* Canonical positive decimal only: no sign, no leading zero, no space. */
bool id_parse(const char *text, int64_t *ret_id);

#endif
