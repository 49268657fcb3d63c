/*
 * Client addresses behind proxies. Every address is kept as IPv6, IPv4 in its mapped form, so there is one comparison.
 */
#include "http/proxies.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct block {
    unsigned char address[16];
    unsigned bits;
};

struct proxies {
    size_t count;
    struct block blocks[];
};

static const unsigned char mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

/* text need not be terminated. */
static bool parse_address(const char *text, size_t n, unsigned char ret[16])
{
    char copy[ADDRESS_TEXT_MAX];
    struct in_addr v4;
    struct in6_addr v6;
    if (n == 0 || n >= sizeof copy)
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    if (strlen(copy) != n)
        return false;
    if (inet_pton(AF_INET, copy, &v4) == 1) {
        memcpy(ret, mapped_prefix, 12);
        memcpy(ret + 12, &v4, 4);
        return true;
    }
    if (inet_pton(AF_INET6, copy, &v6) != 1)
        return false;
    memcpy(ret, &v6, 16);
    return true;
}

static bool parse_block(const char *text, struct block *ret)
{
    size_t n = strcspn(text, "/");
    if (!parse_address(text, n, ret->address))
        return false;
    bool v4 = !memchr(text, ':', n);
    unsigned widest = v4 ? 32 : 128;
    unsigned bits = widest;
    if (text[n] == '/') {
        const char *digits = text + n + 1;
        size_t len = strlen(digits);
        if (len == 0 || len > 3 || strspn(digits, "0123456789") != len)
            return false;
        bits = (unsigned) strtoul(digits, NULL, 10);
        if (bits > widest)
            return false;
    }
    ret->bits = v4 ? bits + 96 : bits;
    return true;
}

enum rc proxies_new(const char *const *trusted, size_t count, struct proxies **ret, struct error *err)
{
    struct proxies *proxies = calloc(1, sizeof *proxies + count * sizeof proxies->blocks[0]);
    if (!proxies)
        return error_set(err, RC_NOMEM, "no memory for trusted_proxies");
    for (size_t i = 0; i < count; i++) {
        if (parse_block(trusted[i], &proxies->blocks[i]))
            continue;
        free(proxies);
        return error_field(err, RC_CONFIG, "trusted_proxies", "\"%s\" is no address and no block such as 10.0.0.0/8", trusted[i]);
    }
    proxies->count = count;
    *ret = proxies;
    return RC_OK;
}

void proxies_free(struct proxies *proxies)
{
    free(proxies);
}

static bool in_block(const struct block *block, const unsigned char address[16])
{
    unsigned whole = block->bits / 8, rest = block->bits % 8;
    if (memcmp(block->address, address, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    unsigned mask = 0xffU << (8 - rest) & 0xffU;
    return ((block->address[whole] ^ address[whole]) & mask) == 0;
}

static bool is_trusted(const struct proxies *proxies, const unsigned char address[16])
{
    for (size_t i = 0; i < proxies->count; i++)
        if (in_block(&proxies->blocks[i], address))
            return true;
    return false;
}

static bool peer_address(const struct sockaddr *peer, unsigned char ret[16])
{
    if (peer->sa_family == AF_INET) {
        memcpy(ret, mapped_prefix, 12);
        memcpy(ret + 12, &((const struct sockaddr_in *) (const void *) peer)->sin_addr, 4);
        return true;
    }
    if (peer->sa_family != AF_INET6)
        return false;
    memcpy(ret, &((const struct sockaddr_in6 *) (const void *) peer)->sin6_addr, 16);
    return true;
}

/* One list item, which may carry a port: "1.2.3.4", "1.2.3.4:80", "2001:db8::1", "[2001:db8::1]:80". */
static bool parse_item(const char *item, size_t n, unsigned char ret[16])
{
    while (n > 0 && (*item == ' ' || *item == '\t'))
        item++, n--;
    while (n > 0 && (item[n - 1] == ' ' || item[n - 1] == '\t'))
        n--;
    if (n > 0 && *item == '[') {
        const char *end = memchr(item, ']', n);
        return end && parse_address(item + 1, (size_t) (end - item) - 1, ret);
    }
    const char *colon = memchr(item, ':', n);
    if (colon && !memchr(colon + 1, ':', n - (size_t) (colon - item) - 1))
        n = (size_t) (colon - item);
    return parse_address(item, n, ret);
}

static const char *print(const unsigned char address[16], char ret_text[ADDRESS_TEXT_MAX])
{
    bool v4 = memcmp(address, mapped_prefix, 12) == 0;
    if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address + 12 : address, ret_text, ADDRESS_TEXT_MAX))
        ret_text[0] = '\0';
    return ret_text;
}

const char *proxies_client(const struct proxies *proxies, const struct sockaddr *peer, const char *forwarded,
                           char ret_text[ADDRESS_TEXT_MAX])
{
    unsigned char client[16], before[16];
    bool known = peer_address(peer, client);
    ret_text[0] = '\0';
    if (!known && peer->sa_family != AF_UNIX)
        return ret_text;
    size_t end = forwarded ? strlen(forwarded) : 0;
    while (end > 0 && (!known || is_trusted(proxies, client))) {
        size_t start = end;
        while (start > 0 && forwarded[start - 1] != ',')
            start--;
        if (!parse_item(forwarded + start, end - start, before))
            break;
        memcpy(client, before, sizeof client);
        known = true;
        end = start > 0 ? start - 1 : 0;
    }
    return known ? print(client, ret_text) : ret_text;
}
