/*
 * Parses the `url` setting. Called once, from open.
 */
#include "url.h"

#include <stdio.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes %xx of [from, end) into a NUL-terminated part; false when it is malformed, too long, or holds a NUL. */
static bool decode(const char *from, const char *end, char ret_part[URL_PART])
{
    size_t length = 0;
    while (from < end) {
        int c = (unsigned char) *from++;
        if (c == '%') {
            int high = end - from >= 2 ? hex_digit(from[0]) : -1;
            int low = high >= 0 ? hex_digit(from[1]) : -1;
            if (low < 0)
                return false;
            c = high * 16 + low;
            from += 2;
        }
        if (c == 0 || length + 1 >= URL_PART)
            return false;
        ret_part[length++] = (char) c;
    }
    ret_part[length] = '\0';
    return true;
}

static bool parse_port(const char *from, const char *end, char ret_port[6])
{
    int port = 0;
    if (from == end)
        return false;
    for (; from < end; from++) {
        if (*from < '0' || *from > '9')
            return false;
        port = port * 10 + (*from - '0');
        if (port > 65535)
            return false;
    }
    snprintf(ret_port, 6, "%d", port);
    return port > 0;
}

/* user, user:password; the spec's default for both is guest. */
static int parse_login(const char *from, const char *end, struct url *url, struct fault *fault)
{
    const char *colon = memchr(from, ':', (size_t) (end - from));
    if (!decode(from, colon ? colon : end, url->user))
        return fault_set(fault, "url", "the user name is malformed: write special characters as %%xx");
    url->password[0] = '\0';
    if (colon && !decode(colon + 1, end, url->password))
        return fault_set(fault, "url", "the password is malformed: write special characters as %%xx");
    return 0;
}

static int parse_host(const char *from, const char *end, struct url *url, struct fault *fault)
{
    const char *host_end;
    if (from < end && *from == '[') {
        host_end = memchr(from, ']', (size_t) (end - from));
        if (!host_end)
            return fault_set(fault, "url", "the IPv6 address lacks its ']'");
        from++;
    } else {
        host_end = memchr(from, ':', (size_t) (end - from));
        if (!host_end)
            host_end = end;
    }
    if (host_end == from || !decode(from, host_end, url->host))
        return fault_set(fault, "url", "the host is missing or malformed");
    from = host_end + (host_end < end && *host_end == ']');
    if (from == end)
        return 0;
    if (*from != ':' || !parse_port(from + 1, end, url->port))
        return fault_set(fault, "url", "the port is not a number from 1 to 65535");
    return 0;
}

static int parse_vhost(const char *from, const char *end, struct url *url, struct fault *fault)
{
    if (memchr(from, '?', (size_t) (end - from)) || memchr(from, '#', (size_t) (end - from)))
        return fault_set(fault, "url", "parameters after '?' are not understood: use the settings of this section");
    if (from == end || from + 1 == end) {
        snprintf(url->vhost, sizeof url->vhost, "/");
        return 0;
    }
    if (memchr(from + 1, '/', (size_t) (end - from) - 1) || !decode(from + 1, end, url->vhost))
        return fault_set(fault, "url", "the virtual host is malformed: write '/' as %%2f");
    return 0;
}

int url_parse(struct pn_str text, struct url *ret_url, struct fault *fault)
{
    struct url url = { .user = "guest", .password = "guest" };
    const char *at, *path, *from = text.data, *end = text.data + text.len;

    if (text.len >= 8 && !memcmp(from, "amqps://", 8)) {
        url.tls = true;
        from += 8;
    } else if (text.len >= 7 && !memcmp(from, "amqp://", 7)) {
        from += 7;
    } else {
        return fault_set(fault, "url", "it must begin with amqp:// or amqps://");
    }
    snprintf(url.port, sizeof url.port, "%s", url.tls ? "5671" : "5672");

    path = memchr(from, '/', (size_t) (end - from));
    if (!path)
        path = end;
    at = memrchr(from, '@', (size_t) (path - from));
    if (at && parse_login(from, at, &url, fault))
        return -1;
    if (parse_host(at ? at + 1 : from, path, &url, fault) || parse_vhost(path, end, &url, fault))
        return -1;
    *ret_url = url;
    return 0;
}
