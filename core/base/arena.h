/*
 * Memory that is freed as a whole: one arena per request, per call into a plugin, per batch. Not thread-safe; an arena
 * belongs to whoever works on its request at the moment.
 */
#ifndef PN_BASE_ARENA_H
#define PN_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

/* limit: the most it may ever hold in bytes, 0 for no limit. Aborts the process only when the first chunk cannot be had. */
struct arena *arena_new(size_t limit);
void arena_free(struct arena *arena); /* NULL is fine */
void arena_reset(struct arena *arena); /* forgets everything, keeps the first chunk */
size_t arena_used(const struct arena *arena);

/* Zeroed, aligned for any object. NULL beyond the limit or when the system has no memory. n == 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t n) __attribute__((malloc, alloc_size(2)));
void *arena_dup(struct arena *arena, const void *bytes, size_t n);
char *arena_strdup(struct arena *arena, const char *text); /* NULL gives NULL */
char *arena_strndup(struct arena *arena, const char *text, size_t n); /* always NUL-terminated */
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
