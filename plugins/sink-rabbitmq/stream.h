/*
 * A byte stream to the broker over TCP or TLS, never blocking except in stream_wait, which has a deadline.
 *
 * rabbitmq-c's own sockets are not used: they write three times per message, and some of their calls wait without a
 * time-out. Its codec is all that this plugin takes from it (wire.h).
 */
#ifndef PAYNOTIFY_RABBITMQ_STREAM_H
#define PAYNOTIFY_RABBITMQ_STREAM_H

#include "fault.h"
#include "resolve.h"
#include "tls.h"
#include "url.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stream {
    int fd; /* -1: closed. Guarded by `lock`, because of stream_interrupt */
    pthread_mutex_t lock;
    SSL *session; /* NULL: plain TCP */
    bool read_wants_write, write_wants_read;
    struct resolution *resolution; /* a question to the name server that is still out */
    atomic_bool interrupted;
};

enum stream_event { STREAM_IDLE = 0, STREAM_READY = 1, STREAM_WOKEN = 2 };

/* Milliseconds of the monotonic clock. */
int64_t stream_clock_ms(void);

void stream_init(struct stream *stream);
void stream_destroy(struct stream *stream); /* of a closed stream */

/* Connects, TLS handshake included, before `deadline_ms`. `tls` is NULL for plain TCP. -1 with `fault`. */
int stream_open(struct stream *stream, const struct url *url, const struct tls *tls, int64_t deadline_ms,
                struct fault *fault);
void stream_close(struct stream *stream);

/* Bytes moved; 0: nothing can be moved now; -1 with `fault`: the connection is gone. */
ssize_t stream_read(struct stream *stream, void *ret_bytes, size_t size, struct fault *fault);
ssize_t stream_write(struct stream *stream, const void *bytes, size_t size, struct fault *fault);

/* Waits until something can be read, or written when `to_write` is set, or `wake_fd` (-1: none) becomes readable, or
 * the deadline passes. A broken connection counts as readable. */
enum stream_event stream_wait(struct stream *stream, bool to_write, int wake_fd, int64_t deadline_ms);

/* From any thread: whatever waits on this stream finds it closed by the other side. */
void stream_interrupt(struct stream *stream);

#endif
