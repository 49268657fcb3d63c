/*
 * The arena: a chain of chunks, newest first, bumped upwards. Called by every layer; an arena belongs to one thread at
 * a time. The struct lives in its own first chunk, so that a request costs one malloc in the common case.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CHUNK = 4096, CHUNK_MAX = 65536, ALIGN = alignof(max_align_t) };

struct chunk {
    struct chunk *older;
    size_t size, used; /* of data */
    alignas(max_align_t) char data[];
};

struct arena {
    struct chunk *newest;
    size_t limit, used;
    size_t next_size;
};

static size_t round_up(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t) (ALIGN - 1);
}

static struct chunk *first_chunk(struct arena *arena)
{
    return (struct chunk *) ((char *) arena - offsetof(struct chunk, data));
}

struct arena *arena_new(size_t limit)
{
    struct chunk *chunk = malloc(FIRST_CHUNK);
    if (!chunk)
        abort();
    chunk->older = NULL;
    chunk->size = FIRST_CHUNK - offsetof(struct chunk, data);
    chunk->used = round_up(sizeof(struct arena));
    struct arena *arena = (struct arena *) chunk->data;
    *arena = (struct arena){ .newest = chunk, .limit = limit, .next_size = 2 * FIRST_CHUNK };
    return arena;
}

static void free_younger(struct arena *arena)
{
    struct chunk *first = first_chunk(arena);
    for (struct chunk *chunk = arena->newest; chunk != first;) {
        struct chunk *older = chunk->older;
        free(chunk);
        chunk = older;
    }
    arena->newest = first;
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    free_younger(arena);
    free(first_chunk(arena));
}

void arena_reset(struct arena *arena)
{
    free_younger(arena);
    arena->newest->used = round_up(sizeof *arena);
    arena->used = 0;
    arena->next_size = 2 * FIRST_CHUNK;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

/* A large object gets a chunk to itself behind the newest one, whose room stays in use. */
static struct chunk *grow(struct arena *arena, size_t need)
{
    int alone = need > arena->next_size / 2;
    size_t size = alone ? need : arena->next_size - offsetof(struct chunk, data);
    struct chunk *chunk = malloc(offsetof(struct chunk, data) + size);
    if (!chunk)
        return NULL;
    chunk->size = size;
    chunk->used = 0;
    if (alone && arena->newest != first_chunk(arena)) {
        chunk->older = arena->newest->older;
        arena->newest->older = chunk;
        return chunk;
    }
    chunk->older = arena->newest;
    arena->newest = chunk;
    if (!alone && arena->next_size < CHUNK_MAX)
        arena->next_size *= 2;
    return chunk;
}

static void *take(struct arena *arena, size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    size_t need = n ? round_up(n) : ALIGN;
    if (arena->limit && need > arena->limit - arena->used)
        return NULL;
    struct chunk *chunk = arena->newest;
    if (need > chunk->size - chunk->used && !(chunk = grow(arena, need)))
        return NULL;
    void *memory = chunk->data + chunk->used;
    chunk->used += need;
    arena->used += need;
    return memory;
}

void *arena_alloc(struct arena *arena, size_t n)
{
    void *memory = take(arena, n);
    return memory ? memset(memory, 0, n) : NULL;
}

void *arena_dup(struct arena *arena, const void *bytes, size_t n)
{
    void *memory = take(arena, n);
    if (memory && n)
        memcpy(memory, bytes, n);
    return memory;
}

char *arena_strndup(struct arena *arena, const char *text, size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    char *copy = take(arena, n + 1);
    if (!copy)
        return NULL;
    if (n)
        memcpy(copy, text, n);
    copy[n] = 0;
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char small[256];
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    char *text = NULL;
    if (n >= 0 && (size_t) n < sizeof small)
        text = arena_strndup(arena, small, (size_t) n);
    else if (n >= 0 && (text = take(arena, (size_t) n + 1)))
        vsnprintf(text, (size_t) n + 1, format, again);
    va_end(again);
    return text;
}
