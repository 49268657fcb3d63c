/*
 * A raw HTTP client for tests of the server: sends any bytes, reads one answer. Used from test threads.
 */
#ifndef PN_TESTS_RAW_HTTP_H
#define PN_TESTS_RAW_HTTP_H

#include <stddef.h>

enum { RAW_ANSWER_MAX = 256 * 1024 };

struct raw_answer {
    int status;           /* 0: the server closed without an answer */
    char *head, *body;    /* NUL-terminated, in one allocation that starts at head */
    size_t body_len;
};

int raw_connect(int port); /* loopback; aborts on failure */
void raw_send(int fd, const char *text);
void raw_send_bytes(int fd, const void *bytes, size_t n);
/* Waits up to 20 s; status 0 when the connection ends before an answer is whole. */
struct raw_answer raw_read(int fd);
void raw_free(struct raw_answer *answer);
/* The value of a header (lower-case name) copied into ret; "" when absent. */
const char *raw_header(const struct raw_answer *answer, const char *name, char *ret, size_t size);
/* Blocks until the server has closed; 1 when it did within 20 s. */
int raw_is_closed(int fd);

#endif
