/*
 * The yardstick for the relay: rabbitmq-c alone, publishing persistent messages of the same size with confirms and a
 * window, nothing else. Prints one line of JSON.
 *
 *   bare_publisher -p PORT -n MESSAGES [-w WINDOW] [-e EXCHANGE]
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char body[] =
    "{\"id\":\"7243920154880000001\",\"messageType\":\"payresult_notify\",\"businessKey1\":\"bench-00000001\",\"businessKey2\":\"60201\","
    "\"businessKey3\":null,\"payment\":{\"type\":\"payment.succeeded\",\"order_id\":\"7243920154880000002\",\"pay_no\":"
    "\"7243920154880000003\",\"channel\":\"alipay\",\"trade_no\":\"20267243920154880000003\",\"amount\":\"88.80\",\"currency\":\"CNY\","
    "\"paid_at\":\"2026-01-01T00:00:00Z\"}}";

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void need(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bare_publisher: %s failed\n", what);
        exit(1);
    }
}

static bool answered(amqp_connection_state_t connection)
{
    return amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL;
}

static amqp_connection_state_t open_channel(int port, amqp_bytes_t exchange)
{
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    amqp_bytes_t queue = amqp_cstring_bytes("bare_queue");
    need(socket && amqp_socket_open(socket, "127.0.0.1", port) == AMQP_STATUS_OK, "connect");
    need(amqp_login(connection, "/", 0, 131072, 30, AMQP_SASL_METHOD_PLAIN, "guest", "guest").reply_type == AMQP_RESPONSE_NORMAL,
         "login");
    amqp_channel_open(connection, 1);
    need(answered(connection), "channel.open");
    amqp_confirm_select(connection, 1);
    need(answered(connection), "confirm.select");
    amqp_exchange_declare(connection, 1, exchange, amqp_cstring_bytes("fanout"), 0, 1, 0, 0, amqp_empty_table);
    need(answered(connection), "exchange.declare");
    amqp_queue_declare(connection, 1, queue, 0, 1, 0, 0, amqp_empty_table);
    need(answered(connection), "queue.declare");
    amqp_queue_bind(connection, 1, queue, exchange, amqp_empty_bytes, amqp_empty_table);
    need(answered(connection), "queue.bind");
    return connection;
}

struct window {
    unsigned char *acked; /* by delivery tag */
    uint64_t low;         /* every tag up to this one is confirmed */
    uint64_t outstanding;
};

/* Waits for one frame and counts what it confirms. */
static void take_confirm(amqp_connection_state_t connection, struct window *window)
{
    amqp_frame_t frame;
    need(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "wait for a confirm");
    if (frame.frame_type != AMQP_FRAME_METHOD)
        return;
    need(frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "an ack");
    const amqp_basic_ack_t *ack = frame.payload.method.decoded;
    for (uint64_t tag = ack->multiple ? window->low + 1 : ack->delivery_tag; tag <= ack->delivery_tag; tag++) {
        window->outstanding -= !window->acked[tag];
        window->acked[tag] = 1;
    }
    if (ack->multiple)
        window->low = ack->delivery_tag;
    amqp_maybe_release_buffers(connection);
}

int main(int argc, char **argv)
{
    long port = 0;
    uint64_t count = 0, size = 1000;
    struct window window = {0};
    const char *exchange = "bare_exchange";
    for (int option; (option = getopt(argc, argv, "p:n:w:e:")) != -1;) {
        switch (option) {
        case 'p': port = strtol(optarg, NULL, 10); break;
        case 'n': count = strtoul(optarg, NULL, 10); break;
        case 'w': size = strtoul(optarg, NULL, 10); break;
        case 'e': exchange = optarg; break;
        default: return 2;
        }
    }
    need(port > 0 && count > 0 && size > 0, "reading the arguments: -p PORT -n MESSAGES [-w WINDOW] [-e EXCHANGE]");
    window.acked = calloc(count + 1, 1);
    need(window.acked, "memory");
    amqp_connection_state_t connection = open_channel((int)port, amqp_cstring_bytes(exchange));
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
                  AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_TYPE_FLAG,
        .delivery_mode = 2, .content_type = amqp_cstring_bytes("application/json"),
        .message_id = amqp_cstring_bytes("7243920154880000001"), .timestamp = (uint64_t)time(NULL),
        .type = amqp_cstring_bytes("payment.succeeded")};
    double start = now_s();
    for (uint64_t i = 0; i < count; i++) {
        need(amqp_basic_publish(connection, 1, amqp_cstring_bytes(exchange), amqp_empty_bytes, 1, 0, &properties,
                                amqp_cstring_bytes(body)) == AMQP_STATUS_OK, "publish");
        for (window.outstanding++; window.outstanding >= size;)
            take_confirm(connection, &window);
    }
    while (window.outstanding > 0)
        take_confirm(connection, &window);
    double seconds = now_s() - start;
    printf("{\"count\": %lu, \"seconds\": %.6f, \"rate\": %.1f}\n", count, seconds, (double)count / seconds);
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
    free(window.acked);
    return 0;
}
