/*
 * The raw client: blocking sockets with a receive time-out that only a broken server reaches.
 */
#include "unit/raw_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int raw_connect(int port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((unsigned short) port) };
    struct timeval limit = { .tv_sec = 20 };
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        connect(fd, (struct sockaddr *) &at, sizeof at) != 0) {
        perror("raw_connect");
        abort();
    }
    return fd;
}

void raw_send_bytes(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the server has closed; the test sees that when it reads */
        p += sent;
        n -= (size_t) sent;
    }
}

void raw_send(int fd, const char *text)
{
    raw_send_bytes(fd, text, strlen(text));
}

const char *raw_header(const struct raw_answer *answer, const char *name, char *ret, size_t size)
{
    size_t n = strlen(name);
    ret[0] = '\0';
    for (const char *line = answer->head; line; line = strstr(line, "\r\n")) {
        line += line == answer->head ? 0 : 2;
        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
            continue;
        const char *value = line + n + 1;
        while (*value == ' ')
            value++;
        snprintf(ret, size, "%.*s", (int) strcspn(value, "\r\n"), value);
        break;
    }
    return ret;
}

struct raw_answer raw_read(int fd)
{
    struct raw_answer answer = { .head = calloc(1, RAW_ANSWER_MAX) };
    size_t len = 0, want = 0;
    char length[32];
    if (!answer.head)
        abort();
    while (len < RAW_ANSWER_MAX - 1 && (want == 0 || len < want)) {
        /* One byte at a time until the head is whole, so that nothing of a next answer is taken. */
        ssize_t n = recv(fd, answer.head + len, want == 0 ? 1 : want - len, 0);
        if (n <= 0)
            return answer;
        len += (size_t) n;
        if (want > 0 || len < 4 || memcmp(answer.head + len - 4, "\r\n\r\n", 4) != 0)
            continue;
        if (strncmp(answer.head, "HTTP/1.1 100", 12) == 0) {
            memset(answer.head, 0, len);
            len = 0;
            continue;
        }
        answer.body_len = strtoul(raw_header(&answer, "content-length", length, sizeof length), NULL, 10);
        answer.body = answer.head + len;
        want = len + answer.body_len;
    }
    answer.status = (int) strtol(answer.head + strlen("HTTP/1.1 "), NULL, 10);
    return answer;
}

void raw_free(struct raw_answer *answer)
{
    free(answer->head);
    *answer = (struct raw_answer){ 0 };
}

int raw_is_closed(int fd)
{
    char rest[4096];
    ssize_t n;
    while ((n = recv(fd, rest, sizeof rest, 0)) > 0)
        continue;
    return n == 0 || errno == ECONNRESET;
}
