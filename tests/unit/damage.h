/*
 * Damaged bodies for the garbage tests of channels: the same ones in every run. One thread.
 */
#ifndef PN_TESTS_DAMAGE_H
#define PN_TESTS_DAMAGE_H

#include <paynotify/plugin.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers that it is done with: any, and one below n (0 when n is 0). */
uint64_t damage_random(void);
size_t damage_below(size_t n);

/* A damaged copy, of exactly its size so that a read behind it is seen; the caller frees its data. `tokens` are the bytes
 * that mean something to the format. */
struct pn_str damage(struct pn_str in, const char *tokens, size_t token_count);

/* What a good body said, kept for comparison. */
struct copy {
    struct pn_kv fields[64];
    size_t count;
    char text[65536];
};
void copy_keep(struct copy *copy, struct pn_kv_list fields);
void copy_assert_same(const struct copy *copy, struct pn_kv_list fields);

#endif
