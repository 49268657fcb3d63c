/*
 * Clocks and timestamps. Deadlines use the monotonic clock; what is stored comes from the database's clock. Any thread.
 */
#ifndef PN_BASE_CLOCK_H
#define PN_BASE_CLOCK_H

#include <stdint.h>
#include <stddef.h>

#include "base/error.h"

enum { CLOCK_TEXT_MAX = 32 };

int64_t mono_ms(void);
int64_t mono_us(void);
int64_t wall_ms(void); /* since 1970, UTC */

/* "2024-05-20T05:14:20.123Z"; milliseconds are left out when zero. */
const char *clock_format(int64_t ms, char ret_text[CLOCK_TEXT_MAX]);

/* RFC 3339 with any offset. RC_BAD_INPUT on anything else. */
enum rc clock_parse(const char *text, int64_t *ret_ms);

#endif
