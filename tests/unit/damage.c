/*
 * Damaging good bodies by a fixed seed, and remembering what the good one said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/str.h"
#include "unit/damage.h"

static uint64_t seed; /* begins at 0 in every run, so that a failure comes again */

/* splitmix64 */
uint64_t damage_random(void)
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

size_t damage_below(size_t n)
{
    return n ? (size_t)(damage_random() % n) : 0;
}

struct pn_str damage(struct pn_str in, const char *tokens, size_t token_count)
{
    char *text = malloc(2 * in.len + 2), *exact;
    size_t len = in.len, at, n;

    if (!text)
        abort();
    memcpy(text, in.data, len);
    for (size_t edits = 1 + damage_below(4); edits > 0; edits--) {
        at = damage_below(len);
        n = damage_below(len - at) % 40;
        switch (damage_below(6)) {
        case 0:
            text[at] = (char)damage_random();
            break;
        case 1:
            text[at] = tokens[damage_below(token_count)];
            break;
        case 2: /* cut out */
            memmove(text + at, text + at + n, len - at - n);
            len -= n;
            break;
        case 3: /* cut off */
            len = damage_below(8) == 0 ? at : len;
            break;
        case 4: /* repeat a piece */
            if (len + n <= 2 * in.len) {
                memmove(text + at + n, text + at, len - at);
                len += n;
            }
            break;
        default: /* swap two bytes */
            if (len > 1) {
                char kept = text[at];
                size_t other = damage_below(len);

                text[at] = text[other];
                text[other] = kept;
            }
        }
        if (len == 0)
            break;
    }
    exact = malloc(len ? len : 1);
    if (!exact)
        abort();
    if (len)
        memcpy(exact, text, len);
    free(text);
    return (struct pn_str){ exact, len };
}

static struct pn_str put(char **to, struct pn_str text)
{
    struct pn_str copied = { *to, text.len };

    if (text.len)
        memcpy(*to, text.data, text.len);
    *to += text.len;
    return copied;
}

void copy_keep(struct copy *copy, struct pn_kv_list fields)
{
    char *to = copy->text;

    assert_true(fields.count <= 64);
    copy->count = fields.count;
    for (size_t i = 0; i < fields.count; i++)
        copy->fields[i] = (struct pn_kv){ put(&to, fields.items[i].name), put(&to, fields.items[i].value) };
}

void copy_assert_same(const struct copy *copy, struct pn_kv_list fields)
{
    assert_int_equal(fields.count, copy->count);
    for (size_t i = 0; i < fields.count; i++) {
        assert_true(str_eq(fields.items[i].name, copy->fields[i].name));
        assert_true(str_eq(fields.items[i].value, copy->fields[i].value));
    }
}
