/*
 * Names to addresses by glibc's getaddrinfo_a, which asks in a thread of its own. Called by stream.c, on the sink's
 * thread.
 */
#include "resolve.h"

#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { SLICE_MS = 100 }; /* how soon an interrupt is noticed */

struct resolution {
    struct gaicb request;
    struct addrinfo hints;
    struct url url;
};

static struct resolution *ask(const struct url *url)
{
    struct resolution *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    memcpy(made->url.host, url->host, sizeof url->host);
    memcpy(made->url.port, url->port, sizeof url->port);
    made->hints.ai_socktype = SOCK_STREAM;
    made->request =
        (struct gaicb){ .ar_name = made->url.host, .ar_service = made->url.port, .ar_request = &made->hints };
    if (getaddrinfo_a(GAI_NOWAIT, (struct gaicb *[]){ &made->request }, 1, NULL)) {
        free(made);
        return NULL;
    }
    return made;
}

/* EAI_INPROGRESS when the time is up first. */
static int await(struct resolution *resolution, const atomic_bool *interrupted, int64_t deadline_ms)
{
    const struct gaicb *const list[] = { &resolution->request };
    const struct timespec slice = { .tv_nsec = SLICE_MS * 1000000L };
    while (gai_error(&resolution->request) == EAI_INPROGRESS) {
        if (atomic_load(interrupted) || stream_clock_ms() >= deadline_ms)
            return EAI_INPROGRESS;
        gai_suspend(list, 1, &slice);
    }
    return gai_error(&resolution->request);
}

int resolve(struct resolution **pending, const struct url *url, const atomic_bool *interrupted, int64_t deadline_ms,
            struct addrinfo **ret_list, struct fault *fault)
{
    struct addrinfo numeric = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
    if (getaddrinfo(url->host, url->port, &numeric, ret_list) == 0)
        return 0;
    if (!*pending && !(*pending = ask(url)))
        return fault_set(fault, NULL, "no memory");
    int answer = await(*pending, interrupted, deadline_ms);
    if (answer == EAI_INPROGRESS)
        return fault_set(fault, NULL, "the name server does not say where %s is", url->host);
    if (answer == 0)
        *ret_list = (*pending)->request.ar_result;
    free(*pending);
    *pending = NULL;
    return answer == 0 ? 0 : fault_set(fault, NULL, "cannot resolve %s: %s", url->host, gai_strerror(answer));
}

void resolve_forget(struct resolution *pending)
{
    if (!pending || gai_cancel(&pending->request) == EAI_NOTCANCELED)
        return;
    if (gai_error(&pending->request) == 0)
        freeaddrinfo(pending->request.ar_result);
    free(pending);
}
