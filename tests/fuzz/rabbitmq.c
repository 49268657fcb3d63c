/*
 * Whatever a broker may send while messages are in flight: the frames, rabbitmq-c's decoding of them, and what
 * sink-rabbitmq makes of it. No ticket may be settled twice, and none that was never submitted.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGES = 5 };

static int settled[MESSAGES];

static void host_log(const struct pn_host *host, struct pn_call *call, int level, const char *text)
{
    (void) host, (void) call, (void) level, (void) text;
}

static void host_settle(const struct pn_host *host, uint64_t ticket, int outcome, const char *reason)
{
    (void) host, (void) outcome, (void) reason;
    if (ticket >= MESSAGES || settled[ticket]++)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct pn_host host = { .size = sizeof host, .log = host_log, .settle = host_settle };
    struct sink sink = { .host = &host };
    struct fault fault;
    memset(settled, 0, sizeof settled);
    init_amqp_pool(&sink.pool, 4096);
    sink.in.data = malloc(WIRE_FRAME_MAX);
    if (!sink.in.data || window_init(&sink.window, MESSAGES))
        abort();
    for (uint64_t i = 0; i < MESSAGES; i++)
        window_add(&sink.window, i, (struct pn_str){ &"12345"[i], 5 - i });
    if (size > WIRE_FRAME_MAX)
        size = WIRE_FRAME_MAX;
    for (size_t done = 0; done < size;) { /* in two pieces, as a network might */
        size_t piece = done == 0 ? (size + 1) / 2 : size - done, room = wire_make_room(&sink.in);
        piece = piece < room ? piece : room;
        memcpy(sink.in.data + sink.in.end, data + done, piece);
        sink.in.end += piece;
        done += piece;
        if (incoming_handle(&sink, &fault))
            break;
    }
    window_free(&sink.window);
    empty_amqp_pool(&sink.pool);
    free(sink.in.data);
    return 0;
}
