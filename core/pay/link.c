/*
 * Signed links: HMAC-SHA256 over "purpose\nid", cut to 128 bits. pay.c opens the keys at start; pages and views sign and
 * verify from worker threads.
 */
#include "pay/link.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/text.h"

enum { KEY_BYTES = 32, MAC_BYTES = 16, KEYS_MAX = 8, KEY_ID_DIGITS = 4, SIGNATURE_LEN = KEY_ID_DIGITS + 1 + 2 * MAC_BYTES };

struct link_key {
    unsigned char bytes[KEY_BYTES];
    char id[KEY_ID_DIGITS + 1];
};

struct links {
    struct link_key keys[KEYS_MAX];
    size_t count;
};

/* Made aside and linked: of two servers that start at once on a shared file one makes it, and nobody reads half of it. */
static bool write_and_link(const char *made, int fd, const char *path, const char *line, size_t len)
{
    bool ok = write(fd, line, len) == (ssize_t)len && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    return ok && (link(made, path) == 0 || errno == EEXIST);
}

static enum rc make_key_file(const char *path, struct error *err)
{
    unsigned char key[KEY_BYTES];
    char line[2 * KEY_BYTES + 2], *made = NULL;
    if (RAND_bytes(key, sizeof key) != 1)
        return error_set(err, RC_INTERNAL, "no randomness for the link key");
    hex_encode(key, sizeof key, line);
    line[2 * KEY_BYTES] = '\n';

    enum rc rc = RC_OK;
    if (asprintf(&made, "%s.XXXXXX", path) < 0)
        made = NULL; /* undefined by then */
    int fd = made ? mkostemp(made, O_CLOEXEC) : -1;
    if (fd < 0 || !write_and_link(made, fd, path, line, 2 * KEY_BYTES + 1))
        rc = error_set(err, RC_CONFIG, "link_key_file %s: cannot be made: %s", path, strerror(errno));
    if (fd >= 0)
        unlink(made);
    free(made);
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(line, sizeof line);
    return rc;
}

static enum rc add_key(struct links *links, const char *line, const char *path, int number, struct error *err)
{
    if (links->count == KEYS_MAX)
        return error_set(err, RC_CONFIG, "link_key_file %s:%d: more than %d keys", path, number, KEYS_MAX);
    struct link_key *key = &links->keys[links->count];
    if (strlen(line) != 2 * KEY_BYTES || !hex_decode(line, key->bytes, KEY_BYTES))
        return error_set(err, RC_CONFIG, "link_key_file %s:%d: not 64 hex digits", path, number);
    unsigned char digest[32];
    unsigned int len = sizeof digest;
    if (EVP_Digest(key->bytes, KEY_BYTES, digest, &len, EVP_sha256(), NULL) != 1)
        return error_set(err, RC_INTERNAL, "SHA-256 is not available");
    hex_encode(digest, KEY_ID_DIGITS / 2, key->id);
    links->count++;
    return RC_OK;
}

static enum rc read_keys(struct links *links, FILE *file, const char *path, struct error *err)
{
    char line[256];
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!line[0])
            continue;
        enum rc rc = add_key(links, line, path, number, err);
        OPENSSL_cleanse(line, sizeof line);
        if (rc)
            return rc;
    }
    return links->count ? RC_OK : error_set(err, RC_CONFIG, "link_key_file %s holds no key", path);
}

enum rc links_open(const char *key_file, struct links **ret_links, struct error *err)
{
    struct stat st;
    enum rc rc = RC_OK;
    if (access(key_file, F_OK) != 0 && (rc = make_key_file(key_file, err)) != RC_OK)
        return rc;
    FILE *file = fopen(key_file, "re");
    if (!file)
        return error_set(err, RC_CONFIG, "link_key_file %s: %s", key_file, strerror(errno));
    struct links *links = calloc(1, sizeof *links);
    if (!links)
        rc = error_set(err, RC_NOMEM, "out of memory");
    else if (fstat(fileno(file), &st) != 0 || (st.st_mode & 077))
        rc = error_set(err, RC_CONFIG, "link_key_file %s can be read by others; chmod 600 it", key_file);
    else
        rc = read_keys(links, file, key_file, err);
    fclose(file);
    if (rc) {
        links_free(links);
        return rc;
    }
    *ret_links = links;
    return RC_OK;
}

void links_free(struct links *links)
{
    if (links)
        OPENSSL_clear_free(links, sizeof *links);
}

static bool mac(const struct link_key *key, const char *purpose, int64_t id, unsigned char ret_mac[32])
{
    char text[64], digits[ID_TEXT_MAX];
    int n = snprintf(text, sizeof text, "%s\n%s", purpose, id_format(id, digits));
    return n > 0 && (size_t)n < sizeof text &&
           HMAC(EVP_sha256(), key->bytes, KEY_BYTES, (const unsigned char *)text, (size_t)n, ret_mac, NULL);
}

const char *link_sign(const struct links *links, const char *purpose, int64_t id, struct arena *arena)
{
    unsigned char full[32];
    char hex[2 * MAC_BYTES + 1];
    if (!mac(&links->keys[0], purpose, id, full))
        return NULL;
    hex_encode(full, MAC_BYTES, hex);
    return arena_printf(arena, "%s-%s", links->keys[0].id, hex);
}

bool link_verify(const struct links *links, const char *purpose, int64_t id, const char *signature)
{
    unsigned char full[32], given[MAC_BYTES];
    if (!signature || strlen(signature) != SIGNATURE_LEN || signature[KEY_ID_DIGITS] != '-' ||
        !hex_decode(signature + KEY_ID_DIGITS + 1, given, MAC_BYTES))
        return false;
    for (size_t i = 0; i < links->count; i++)
        if (memcmp(signature, links->keys[i].id, KEY_ID_DIGITS) == 0 && mac(&links->keys[i], purpose, id, full) &&
            bytes_equal_ct(full, given, MAC_BYTES))
            return true;
    return false;
}
