/*
 * The node lease and the thread that renews it. When the store cannot be reached for the whole lease, base/ids stops
 * giving out ids by itself; when another process took the number, this one stops: its ids would not be its own.
 */
#include "store/node.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"

enum { LEASE_MS = 60 * 1000, RENEW_MS = 15 * 1000, RETRY_MS = 1000 };

struct node {
    struct store *store;
    const char *name;
    int64_t incarnation;
    int number;
    int64_t floor_ms;
    int name_lock; /* a bound socket that nobody uses: see lock_name */
    pthread_t thread;

    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t wake;
    bool stopping;
};

static enum rc acquire_tx(struct tx *tx, void *arg, struct error *err)
{
    struct node *node = arg;
    int64_t predecessor = 0;
    size_t released;
    enum rc rc = node_acquire(tx, node->name, node->incarnation, LEASE_MS, &node->number, &predecessor, &node->floor_ms, err);
    if (rc == RC_OK && predecessor)
        rc = outbox_release(tx, predecessor, &released, err);
    if (rc == RC_OK && predecessor)
        rc = schedule_release(tx, predecessor, err);
    return rc;
}

static enum rc renew_tx(struct tx *tx, void *arg, struct error *err)
{
    struct node *node = arg;
    return node_renew(tx, node->number, node->incarnation, LEASE_MS, err);
}

static enum rc release_tx(struct tx *tx, void *arg, struct error *err)
{
    struct node *node = arg;
    enum rc rc = schedule_release(tx, node->incarnation, err);
    return rc == RC_OK ? node_release(tx, node->number, node->incarnation, err) : rc;
}

/* RETRY_MS or RENEW_MS until the next try, by how this one ended. */
static int64_t renew(struct node *node)
{
    struct error err = { 0 };
    int64_t begin = mono_ms();
    enum rc rc = store_write(node->store, LANE_POLL, renew_tx, node, &err);
    if (rc == RC_OK) {
        ids_lease(node->number, node->floor_ms, begin + LEASE_MS);
        return RENEW_MS;
    }
    if (rc == RC_CONFLICT) {
        log_error("another server has taken this node number; stopping", LOG_I("node", node->number), LOG_S("name", node->name));
        ids_revoke();
        kill(getpid(), SIGTERM);
        return RENEW_MS;
    }
    static struct log_limit limit;
    if (log_allow(&limit, 6))
        log_warn("the node lease could not be renewed", LOG_S("detail", err.text));
    return RETRY_MS;
}

static bool wait_ms(struct node *node, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    pthread_mutex_lock(&node->lock);
    int rc = 0;
    while (!node->stopping && rc == 0)
        rc = pthread_cond_timedwait(&node->wake, &node->lock, &until);
    bool go_on = !node->stopping;
    pthread_mutex_unlock(&node->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct node *node = arg;
    pthread_setname_np(pthread_self(), "pn-node");
    for (int64_t wait = RENEW_MS; wait_ms(node, wait);)
        wait = renew(node);
    return NULL;
}

/* A process that is stopping has closed its listening sockets and still makes ids: its name must not be taken before it
 * has ended. An abstract socket is given back by the kernel, however the process ends. Names are the store's, so other
 * books may know the same one. */
static enum rc lock_name(struct node *node, const char *shown_url, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t room = sizeof address.sun_path - 1;
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (const char *c = shown_url; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
    int n = snprintf(address.sun_path + 1, room, "paynotify/%016" PRIx64 "/%s", hash, node->name);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + ((size_t)n < room ? (size_t)n : room - 1));

    node->name_lock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (node->name_lock >= 0 && bind(node->name_lock, (struct sockaddr *)&address, length) == 0)
        return RC_OK;
    if (errno == EADDRINUSE)
        return error_set(err, RC_CONFLICT, "another paynotifyd of node_name \"%s\" still runs on these books", node->name);
    return error_set(err, RC_INTERNAL, "the node's name cannot be locked: %s", strerror(errno));
}

static void node_free(struct node *node)
{
    if (node->name_lock >= 0)
        close(node->name_lock);
    pthread_mutex_destroy(&node->lock);
    pthread_cond_destroy(&node->wake);
    free(node);
}

static struct node *node_new(struct store *store, const char *name)
{
    struct node *node = calloc(1, sizeof *node);
    if (!node)
        return NULL;
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random) {
        free(node);
        return NULL;
    }
    node->store = store;
    node->name = name;
    node->name_lock = -1;
    node->incarnation = (int64_t)(random >> 1) | 1;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&node->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&node->lock, NULL);
    return node;
}

enum rc node_start(struct store *store, const char *shown_url, const char *name, struct node **ret_node, struct error *err)
{
    struct node *node = node_new(store, name);
    if (!node)
        return error_set(err, RC_NOMEM, "out of memory");
    int64_t begin = mono_ms();
    enum rc rc = lock_name(node, shown_url, err);
    if (rc == RC_OK)
        rc = store_write(store, LANE_POLL, acquire_tx, node, err);
    if (rc == RC_OK) {
        ids_lease(node->number, node->floor_ms, begin + LEASE_MS);
        if (pthread_create(&node->thread, NULL, run, node) != 0)
            rc = error_set(err, RC_INTERNAL, "cannot start the node thread");
    }
    if (rc) {
        node_free(node);
        return rc;
    }
    *ret_node = node;
    return RC_OK;
}

int64_t node_incarnation(const struct node *node)
{
    return node->incarnation;
}

void node_stop(struct node *node)
{
    struct error err = { 0 };
    if (!node)
        return;
    pthread_mutex_lock(&node->lock);
    node->stopping = true;
    pthread_cond_signal(&node->wake);
    pthread_mutex_unlock(&node->lock);
    pthread_join(node->thread, NULL);
    ids_revoke();
    if (store_write(node->store, LANE_POLL, release_tx, node, &err) != RC_OK)
        log_warn("the node number was not given back; its lease ends by itself", LOG_S("detail", err.text));
    node_free(node);
}
