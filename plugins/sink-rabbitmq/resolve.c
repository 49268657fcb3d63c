/*
 * Names to addresses: getaddrinfo in a thread that lives as long as the question. Called by stream.c, on the sink's
 * thread. glibc's own getaddrinfo_a would do the same, but not under ThreadSanitizer, which does not know its threads.
 */
#include "resolve.h"

#include "stream.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { SLICE_MS = 100, STACK_BYTES = 256 * 1024 }; /* a slice: how soon an interrupt is noticed */

/* The asker and the thread share it; who comes last frees it: the asker once it is finished, the thread if forgotten. */
struct resolution {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t answered;
    bool finished, forgotten;
    int answer; /* of getaddrinfo */
    struct addrinfo *list;
    char host[URL_PART], port[6];
};

static void resolution_free(struct resolution *resolution)
{
    if (resolution->list)
        freeaddrinfo(resolution->list);
    pthread_cond_destroy(&resolution->answered);
    pthread_mutex_destroy(&resolution->lock);
    free(resolution);
}

static void *look_up(void *argument)
{
    struct resolution *resolution = argument;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    int answer = getaddrinfo(resolution->host, resolution->port, &hints, &list);
    pthread_mutex_lock(&resolution->lock);
    resolution->answer = answer;
    resolution->list = answer == 0 ? list : NULL;
    resolution->finished = true;
    bool forgotten = resolution->forgotten;
    pthread_cond_signal(&resolution->answered);
    pthread_mutex_unlock(&resolution->lock);
    if (forgotten)
        resolution_free(resolution);
    return NULL;
}

/* Signals are the host's business: the thread takes none. */
static int start(struct resolution *resolution)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attributes, look_up, resolution);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed;
}

static struct resolution *ask(const struct url *url)
{
    pthread_condattr_t monotonic;
    struct resolution *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    memcpy(made->host, url->host, sizeof made->host);
    memcpy(made->port, url->port, sizeof made->port);
    pthread_mutex_init(&made->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&made->answered, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (start(made)) {
        resolution_free(made);
        return NULL;
    }
    return made;
}

/* False when the time is up, or nobody wants the answer any more. */
static bool await(struct resolution *resolution, const atomic_bool *interrupted, int64_t deadline_ms)
{
    pthread_mutex_lock(&resolution->lock);
    while (!resolution->finished && !atomic_load(interrupted) && stream_clock_ms() < deadline_ms) {
        int64_t until_ms = stream_clock_ms() + SLICE_MS;
        struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };
        pthread_cond_timedwait(&resolution->answered, &resolution->lock, &until);
    }
    bool finished = resolution->finished;
    pthread_mutex_unlock(&resolution->lock);
    return finished;
}

int resolve(struct resolution **pending, const struct url *url, const atomic_bool *interrupted, int64_t deadline_ms,
            struct addrinfo **ret_list, struct fault *fault)
{
    struct addrinfo numeric = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
    if (getaddrinfo(url->host, url->port, &numeric, ret_list) == 0)
        return 0;
    if (!*pending && !(*pending = ask(url)))
        return fault_set(fault, NULL, "no memory to ask where %s is", url->host);
    struct resolution *resolution = *pending;
    if (!await(resolution, interrupted, deadline_ms))
        return fault_set(fault, NULL, "the name server does not say where %s is", url->host);
    int answer = resolution->answer;
    if (answer == 0) {
        *ret_list = resolution->list;
        resolution->list = NULL;
    }
    resolution_free(resolution);
    *pending = NULL;
    return answer == 0 ? 0 : fault_set(fault, NULL, "cannot resolve %s: %s", url->host, gai_strerror(answer));
}

void resolve_forget(struct resolution *pending)
{
    if (!pending)
        return;
    pthread_mutex_lock(&pending->lock);
    bool finished = pending->finished;
    pending->forgotten = true;
    pthread_mutex_unlock(&pending->lock);
    if (finished)
        resolution_free(pending);
}
