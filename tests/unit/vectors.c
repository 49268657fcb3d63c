/*
 * Reads tests/vectors/NAME.json; see vectors.h.
 */
#include "unit/vectors.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NAME_MAX_LEN = 160 };

struct suite {
    struct CMUnitTest *tests;
    size_t count;
};

json_t *vectors_load(const char *name)
{
    const char *dir = getenv("PN_SRCDIR");
    char path[512];
    json_error_t error;
    json_t *root;

    snprintf(path, sizeof(path), "%s/tests/vectors/%s.json", dir ? dir : ".", name);
    root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        fprintf(stderr, "# %s: %s\n", path, error.text);
        exit(99);
    }
    return root;
}

struct pn_str vector_str(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return (struct pn_str){ json_string_value(value), json_string_length(value) };
}

bool vector_has(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return value && !json_is_null(value);
}

static struct pn_str copy(struct pn_str text)
{
    char *bytes = malloc(text.len + 1);

    if (!bytes)
        abort();
    if (text.len)
        memcpy(bytes, text.data, text.len);
    bytes[text.len] = '\0';
    return (struct pn_str){ bytes, text.len };
}

/* OpenSSL's decoder rather than ours, which is under test. */
static struct pn_str from_base64(struct pn_str text)
{
    unsigned char *bytes = malloc(text.len + 4);
    int n;

    if (!bytes)
        abort();
    n = EVP_DecodeBlock(bytes, (const unsigned char *)text.data, (int)text.len);
    if (n < 0)
        abort();
    for (size_t i = text.len; i > 0 && text.data[i - 1] == '='; i--)
        n--;
    return (struct pn_str){ (char *)bytes, (size_t)n };
}

static struct pn_str from_hex(struct pn_str text)
{
    char *bytes = malloc(text.len / 2 + 1);

    if (!bytes)
        abort();
    for (size_t i = 0; i + 1 < text.len; i += 2) {
        char digits[] = { text.data[i], text.data[i + 1], '\0' };

        bytes[i / 2] = (char)strtoul(digits, NULL, 16);
    }
    return (struct pn_str){ bytes, text.len / 2 };
}

struct pn_str vector_bytes(const json_t *object, const char *name)
{
    char encoded[64];

    snprintf(encoded, sizeof(encoded), "%s_b64", name);
    if (vector_has(object, encoded))
        return from_base64(vector_str(object, encoded));
    return copy(vector_str(object, name));
}

struct pn_str vector_value(const json_t *value)
{
    if (vector_has(value, "gbk_hex"))
        return from_hex(vector_str(value, "gbk_hex"));
    if (vector_has(value, "b64"))
        return from_base64(vector_str(value, "b64"));
    return copy((struct pn_str){ json_string_value(value), json_string_length(value) });
}

struct pn_str vectors_key(const char *key, const char *shape)
{
    static json_t *root;

    if (!root)
        root = vectors_load("keys");
    return vector_str(json_object_get(json_object_get(root, "keys"), key), shape);
}

struct suite *suite_new(void)
{
    struct suite *suite = calloc(1, sizeof(*suite));

    if (!suite)
        abort();
    return suite;
}

static void add(struct suite *suite, const char *name, void (*test)(void **state), void *initial_state)
{
    suite->tests = realloc(suite->tests, (suite->count + 1) * sizeof(*suite->tests));
    if (!suite->tests)
        abort();
    suite->tests[suite->count++] =
        (struct CMUnitTest){ .name = strdup(name), .test_func = test, .initial_state = initial_state };
}

void suite_add_cases(struct suite *suite, const char *group, json_t *cases, size_t want, void (*test)(void **state))
{
    json_t *item;
    size_t i;

    if (json_array_size(cases) < want) {
        fprintf(stderr, "# %s: %zu cases, wanted %zu\n", group, json_array_size(cases), want);
        exit(99);
    }
    json_array_foreach(cases, i, item) {
        char name[NAME_MAX_LEN];
        const char *id = vector_str(item, "id").data;

        snprintf(name, sizeof(name), "%s %s", id ? id : group, vector_str(item, vector_has(item, "title") ? "title" : "name").data);
        add(suite, name, test, item);
    }
}

void suite_add(struct suite *suite, const char *name, void (*test)(void **state))
{
    add(suite, name, test, NULL);
}

int suite_run(struct suite *suite, const char *name)
{
    int failed = _cmocka_run_group_tests(name, suite->tests, suite->count, NULL, NULL);

    for (size_t i = 0; i < suite->count; i++)
        free((void *)(uintptr_t)suite->tests[i].name);
    free(suite->tests);
    free(suite);
    return failed;
}
