/*
 * The load driver: posts signed notifications over keep-alive connections from one thread with epoll, each body once,
 * and counts every latency. Reads "pay_no amount" lines from stdin; prints one line of JSON.
 *
 *   load -p PORT -k KEY.pem -a APP_ID -s SELLER_ID [-c CONNECTIONS] [-r RATE] < pay_nos
 *
 * Without -r every connection sends as soon as it has its answer. With -r RATE the requests start on a fixed schedule and
 * a latency counts from the scheduled moment, so that a stalled server is charged for every request it delayed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"
#include "notice.h"

#define MAX_CONNECTIONS 4096

struct connection {
    int fd;
    bool busy;
    uint64_t started_us;
    size_t sent;
    const struct notice *notice;
    char answer[2048];
    size_t received;
};

struct run {
    struct notice *notices;
    size_t count, next, done, accepted;
    double rate;
    uint64_t start_us;
    int epoll;
    struct connection *connections;
    size_t connection_count;
    struct histogram latencies;
};

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct notice *read_pay_nos(size_t *ret_count)
{
    struct notice *notices = NULL;
    size_t count = 0, room = 0;
    char pay_no[32], amount[32];
    while (scanf("%31s %31s", pay_no, amount) == 2) {
        if (count == room) {
            room = room ? room * 2 : 1024;
            notices = realloc(notices, room * sizeof *notices);
            if (!notices)
                die("memory");
        }
        notices[count++] = (struct notice){.pay_no = strdup(pay_no), .amount = strdup(amount)};
    }
    *ret_count = count;
    return notices;
}

static void connect_all(struct run *run, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (size_t i = 0; i < run->connection_count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &run->connections[i]};
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
            die("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            die("epoll_ctl");
        run->connections[i].fd = fd;
    }
}

/* A notification is far smaller than a socket's buffer, so the one blocking send never waits. */
static void send_next(struct run *run, struct connection *connection, uint64_t started_us)
{
    connection->notice = &run->notices[run->next++];
    connection->busy = true;
    connection->received = 0;
    connection->started_us = started_us;
    ssize_t sent = send(connection->fd, connection->notice->request, connection->notice->length, MSG_NOSIGNAL);
    if (sent != (ssize_t)connection->notice->length)
        die("send");
}

/* The length of the whole answer once its head is complete; 0 before. */
static size_t answer_length(const struct connection *connection, const char **ret_body)
{
    const char *end = memmem(connection->answer, connection->received, "\r\n\r\n", 4);
    if (!end)
        return 0;
    const char *length = strcasestr(connection->answer, "content-length:");
    if (!length || length > end) {
        fprintf(stderr, "load: an answer without Content-Length: %s\n", connection->answer);
        exit(1);
    }
    *ret_body = end + 4;
    return (size_t)(end + 4 - connection->answer) + strtoul(length + 15, NULL, 10);
}

static void receive(struct run *run, struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->answer + connection->received,
                       sizeof connection->answer - 1 - connection->received, MSG_DONTWAIT);
    const char *body = NULL;
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        die("the server closed a connection");
    connection->received += (size_t)got;
    connection->answer[connection->received] = 0;
    size_t length = answer_length(connection, &body);
    if (length == 0 || connection->received < length)
        return;
    histogram_add(&run->latencies, now_us() - connection->started_us);
    run->accepted += strcmp(body, "success") == 0;
    run->done++;
    connection->busy = false;
    if (run->rate == 0 && run->next < run->count)
        send_next(run, connection, now_us());
}

static struct connection *idle_connection(struct run *run)
{
    for (size_t i = 0; i < run->connection_count; i++)
        if (!run->connections[i].busy)
            return &run->connections[i];
    return NULL;
}

/* Starts what the schedule says; returns how long to wait for the next one, in µs. */
static uint64_t follow_schedule(struct run *run)
{
    while (run->next < run->count) {
        uint64_t due = run->start_us + (uint64_t)((double)run->next * 1e6 / run->rate), now = now_us();
        if (due > now)
            return due - now;
        struct connection *connection = idle_connection(run);
        if (!connection)
            return 1000;
        send_next(run, connection, due);
    }
    return 100000;
}

static void drive(struct run *run)
{
    struct epoll_event events[256];
    run->start_us = now_us();
    for (size_t i = 0; run->rate == 0 && i < run->connection_count && run->next < run->count; i++)
        send_next(run, &run->connections[i], now_us());
    while (run->done < run->count) {
        uint64_t us = run->rate > 0 ? follow_schedule(run) : 10000000;
        struct timespec wait = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
        int ready = epoll_pwait2(run->epoll, events, 256, &wait, NULL);
        if (ready < 0 && errno != EINTR)
            die("epoll_wait");
        if (ready == 0 && run->rate == 0) {
            fprintf(stderr, "load: no answer for 10 s\n");
            exit(1);
        }
        for (int i = 0; i < ready; i++)
            receive(run, events[i].data.ptr);
    }
}

static void report(const struct run *run, uint64_t us)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"count\": %zu, \"accepted\": %zu, \"seconds\": %.6f, \"rate\": %.1f, \"p50_us\": %lu, \"p90_us\": %lu, "
           "\"p99_us\": %lu, \"p999_us\": %lu, \"max_us\": %lu}\n",
           run->done, run->accepted, (double)us / 1e6, (double)run->done * 1e6 / (double)us, histogram_at(&run->latencies, 0.5),
           histogram_at(&run->latencies, 0.9), histogram_at(&run->latencies, 0.99), histogram_at(&run->latencies, 0.999),
           run->latencies.max_us);
}

int main(int argc, char **argv)
{
    struct notice_settings settings = {.path = "/notify/alipay"};
    struct run run = {.connection_count = 64};
    char host[32];
    long port = 0;
    for (int option; (option = getopt(argc, argv, "p:k:a:s:c:r:")) != -1;) {
        switch (option) {
        case 'p': port = strtol(optarg, NULL, 10); break;
        case 'k': settings.key_file = optarg; break;
        case 'a': settings.app_id = optarg; break;
        case 's': settings.seller_id = optarg; break;
        case 'c': run.connection_count = strtoul(optarg, NULL, 10); break;
        case 'r': run.rate = (double)strtoul(optarg, NULL, 10); break;
        default: return 2;
        }
    }
    if (port < 1 || port > 65535 || !settings.key_file || !settings.app_id || !settings.seller_id || run.connection_count < 1 ||
        run.connection_count > MAX_CONNECTIONS) {
        fprintf(stderr, "usage: load -p PORT -k KEY.pem -a APP_ID -s SELLER_ID [-c CONNECTIONS] [-r RATE] < pay_nos\n");
        return 2;
    }
    snprintf(host, sizeof host, "127.0.0.1:%ld", port);
    settings.host = host;
    run.notices = read_pay_nos(&run.count);
    if (run.count == 0 || notices_sign(&settings, run.notices, run.count) != 0)
        return 1;
    run.connections = calloc(run.connection_count, sizeof *run.connections);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!run.connections || run.epoll < 0)
        die("start");
    connect_all(&run, (uint16_t)port);
    drive(&run);
    report(&run, now_us() - run.start_us);
    return run.accepted == run.count ? 0 : 3;
}
