/* The broker of broker.h. */
#include "config.h"

#include "unit/broker.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static struct broker *of(struct script *script)
{
    return (struct broker *)(void *)script;
}

static void settle(struct broker *b, size_t index, int outcome)
{
    struct message *message = &b->messages[index];
    message->outcome = outcome;
    b->settled++;
    b->delivered += outcome == PN_DELIVERED;
    b->script.host->settle(b->script.host, message->ticket, outcome, outcome == PN_DELIVERED ? NULL : "as the test says");
}

static void confirm(struct broker *b)
{
    for (size_t n = 0; !b->hold && n < b->open_count; n++) {
        size_t index = b->open[b->backwards ? b->open_count - 1 - n : n];
        settle(b, index, b->decide ? b->decide(b, &b->messages[index]) : PN_DELIVERED);
    }
    if (!b->hold)
        b->open_count = 0;
}

/* The connection is gone, and what was in flight with it. */
static int fall(struct broker *b)
{
    for (size_t n = 0; n < b->open_count; n++)
        settle(b, b->open[n], PN_UNAVAILABLE);
    b->open_count = 0;
    b->break_down = false;
    return PN_SINK_DOWN;
}

int broker_refuse_to_open(struct script *script, struct pn_call *call)
{
    return script->host->fail(call, PN_BAD_CONFIG, "url", "no such place");
}

static int on_connect(struct script *script, struct pn_call *call)
{
    struct broker *b = of(script);
    pthread_mutex_lock(&b->lock);
    bool refused = b->refuse_connections;
    b->connects++;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    return refused ? script->host->fail(call, PN_NOT_DONE, NULL, "nobody is there") : PN_OK;
}

static int submit(struct broker *b, const struct pn_event *event, uint64_t ticket)
{
    if (b->break_down || (b->break_after && b->count >= b->break_after)) {
        b->break_after = 0;
        return fall(b);
    }
    if (b->open_count >= b->window)
        return PN_WINDOW_FULL;
    if (b->count == BROKER_MAX)
        abort();
    b->open[b->open_count++] = b->count;
    b->open_max = b->open_count > b->open_max ? b->open_count : b->open_max;
    b->messages[b->count++] = (struct message){
        .id = strtoll(event->id.data, NULL, 10),
        .order = strtoll(event->order_id.data, NULL, 10),
        .ticket = ticket,
        .attempt = (int)event->attempt,
    };
    return PN_SUBMITTED;
}

static int on_submit(struct script *script, const struct pn_event *event, uint64_t ticket)
{
    struct broker *b = of(script);
    pthread_mutex_lock(&b->lock);
    int answer = submit(b, event, ticket);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    return answer;
}

static int on_pump(struct script *script, int64_t timeout_ms, int wake_fd)
{
    struct broker *b = of(script);
    pthread_mutex_lock(&b->lock);
    while (b->hang)
        pthread_cond_wait(&b->changed, &b->lock);
    bool idle = !b->break_down && (b->open_count == 0 || b->hold);
    pthread_mutex_unlock(&b->lock);
    if (idle) {
        struct pollfd fds[] = { { .fd = wake_fd, .events = POLLIN }, { .fd = b->control_fd, .events = POLLIN } };
        (void)poll(fds, 2, (int)timeout_ms);
        eventfd_t count;
        (void)eventfd_read(b->control_fd, &count);
    }
    pthread_mutex_lock(&b->lock);
    int answer = b->break_down ? fall(b) : PN_SUBMITTED;
    confirm(b);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    return answer;
}

static void on_interrupt(struct script *script)
{
    struct broker *b = of(script);
    broker_change(b, (b->hang = false, b->break_down = true, b->interrupts++));
    pthread_cond_broadcast(&b->changed);
}

static void on_close(struct script *script)
{
    struct broker *b = of(script);
    pthread_mutex_lock(&b->lock);
    (void)fall(b);
    pthread_mutex_unlock(&b->lock);
}

void broker_init(struct broker *b, size_t window)
{
    *b = (struct broker){
        .script = { .connect = on_connect, .submit = on_submit, .pump = on_pump, .interrupt = on_interrupt, .close = on_close },
        .window = window,
        .control_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
        .messages = calloc(BROKER_MAX, sizeof *b->messages),
        .open = calloc(BROKER_MAX, sizeof *b->open),
    };
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
}

void broker_free(struct broker *b)
{
    close(b->control_fd);
    free(b->messages);
    free(b->open);
}

void broker_wake(struct broker *b)
{
    (void)eventfd_write(b->control_fd, 1);
}

static bool await(struct broker *b, const size_t *value, size_t wanted)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&b->lock);
    while (*value < wanted && pthread_cond_timedwait(&b->changed, &b->lock, &until) == 0)
        ;
    bool there = *value >= wanted;
    pthread_mutex_unlock(&b->lock);
    return there;
}

bool broker_await_count(struct broker *b, size_t count)
{
    return await(b, &b->count, count);
}

bool broker_await_delivered(struct broker *b, size_t count)
{
    return await(b, &b->delivered, count);
}
