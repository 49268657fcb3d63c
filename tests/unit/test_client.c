/* The outbound client against a real server that misbehaves in every way it can (http_peer.h), and over real TLS. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "client/client.h"
#include "unit/http_peer.h"
#include "unit/tls_peer.h"

struct outcome {
    enum rc rc;
    long status;
    char *body, *headers, *detail;
    size_t body_len;
    int tried;
    sem_t ready;
};

static struct peer peer;
static struct client *client;
static char url_text[16][128];
static int url_next;

static const char *url(uint16_t port, const char *path)
{
    char *text = url_text[url_next++ % 16];
    (void)snprintf(text, sizeof url_text[0], "http://127.0.0.1:%d%s", port, path);
    return text;
}

static void on_done(void *arg, const struct client_response *response)
{
    struct outcome *outcome = arg;
    struct buf headers = { 0 };
    for (size_t i = 0; i < response->header_count; i++)
        buf_addf(&headers, "%s=%s\n", response->headers[i].name, response->headers[i].value);
    outcome->rc = response->rc;
    outcome->status = response->status;
    outcome->tried = response->tried;
    outcome->body = strndup(response->body ? response->body : "", response->body_len);
    outcome->body_len = response->body_len;
    outcome->headers = strdup(buf_text(&headers));
    outcome->detail = strdup(response->detail ? response->detail : "");
    buf_free(&headers);
    sem_post(&outcome->ready);
}

static void outcome_free(struct outcome *outcome)
{
    free(outcome->body);
    free(outcome->headers);
    free(outcome->detail);
}

static struct outcome ask(const struct client_request *request)
{
    struct outcome outcome = { 0 };
    sem_init(&outcome.ready, 0, 0);
    client_send(client, request, on_done, &outcome);
    sem_wait(&outcome.ready);
    return outcome;
}

static struct outcome get(const char *const *urls, size_t count, int64_t timeout_ms, int repeatable)
{
    return ask(&(struct client_request){ .label = "test", .method = "GET", .urls = urls, .url_count = count,
                                         .timeout_ms = timeout_ms, .repeatable = repeatable });
}

static void check(struct outcome outcome, enum rc rc, long status, const char *body)
{
    if (outcome.rc != rc)
        print_message("# %s: %s\n", rc_name(outcome.rc), outcome.detail);
    assert_int_equal(outcome.rc, rc);
    assert_int_equal(outcome.status, status);
    if (body)
        assert_string_equal(outcome.body, body);
    outcome_free(&outcome);
}

#define GET(rc_, status_, body_, timeout_, ...)                                                                      \
    do {                                                                                                             \
        const char *const urls_[] = { __VA_ARGS__ };                                                                 \
        check(get(urls_, sizeof urls_ / sizeof *urls_, timeout_, 1), rc_, status_, body_);                           \
    } while (0)

static void post_arrives_as_written_and_header_names_come_back_in_lower_case(void **state)
{
    (void)state;
    const char *const urls[] = { url(peer.port, "/echo") };
    const struct client_header headers[] = { { "Content-Type", "text/xml" }, { "X-Empty", "" } };
    struct outcome outcome = ask(&(struct client_request){ .label = "test", .method = "POST", .urls = urls, .url_count = 1,
        .headers = headers, .header_count = 2, .body = "a=1&b=\xE4\xBA\x91", .body_len = 9, .timeout_ms = 5000 });
    assert_non_null(strstr(outcome.headers, "x-peer=Yes\n"));
    assert_non_null(strstr(outcome.headers, "empty=\n"));
    assert_non_null(strstr(peer.last_request, "POST /echo HTTP/1.1\r\n"));
    assert_non_null(strstr(peer.last_request, "Content-Type: text/xml\r\n"));
    assert_non_null(strstr(peer.last_request, "X-Empty:\r\n"));
    assert_null(strstr(peer.last_request, "Expect"));
    check(outcome, RC_OK, 200, "a=1&b=\xE4\xBA\x91");
}

static void one_connection_serves_many_requests(void **state)
{
    (void)state;
    GET(RC_OK, 200, "", 5000, url(peer.port, "/echo"));
    int before = peer.connections;
    for (int i = 0; i < 20; i++)
        GET(RC_OK, 200, "", 5000, url(peer.port, "/echo"));
    assert_int_equal(peer.connections, before);
}

static void silence_is_a_timeout_and_so_is_dripping(void **state)
{
    (void)state;
    GET(RC_TIMEOUT, 0, "", 200, url(peer.port, "/hang"));
    GET(RC_TIMEOUT, 0, "", 300, url(peer.port, "/drip"));
}

static void a_closed_port_is_certainly_not_sent(void **state)
{
    (void)state;
    GET(RC_UNAVAILABLE, 0, "", 5000, url(peer_closed_port(), "/echo"));
    GET(RC_UNAVAILABLE, 0, "", 5000, "http://does-not-exist.invalid/");
}

static void the_next_host_is_tried_after_a_failure_to_connect(void **state)
{
    (void)state;
    GET(RC_OK, 200, "", 5000, "http://does-not-exist.invalid/", url(peer_closed_port(), "/echo"), url(peer.port, "/echo"));
}

static void a_broken_connection_goes_to_the_next_host_only_when_repeatable(void **state)
{
    (void)state;
    const char *const urls[] = { url(peer.port, "/early"), url(peer.port, "/echo") };
    check(get(urls, 2, 5000, 1), RC_OK, 200, "");
    int before = peer.requests;
    check(get(urls, 2, 5000, 0), RC_UNKNOWN, 0, "");
    assert_int_equal(peer.requests, before + 1);
}

static void an_answer_cut_short_is_unknown(void **state)
{
    (void)state;
    GET(RC_UNKNOWN, 0, "", 5000, url(peer.port, "/half"));
    GET(RC_UNKNOWN, 0, "", 5000, url(peer.port, "/early"));
    GET(RC_UNKNOWN, 0, "", 5000, url(peer.port, "/garbage"));
}

static void an_endless_answer_is_cut_off(void **state)
{
    (void)state;
    GET(RC_UNKNOWN, 0, "", 30000, url(peer.port, "/huge"));
    GET(RC_UNKNOWN, 0, "", 30000, url(peer.port, "/headers"));
}

static void a_redirect_is_an_answer_and_is_not_followed(void **state)
{
    (void)state;
    GET(RC_OK, 302, "", 5000, url(peer.port, "/redirect"));
}

static void an_interim_answer_is_not_the_answer(void **state)
{
    (void)state;
    const char *const urls[] = { url(peer.port, "/continue") };
    struct outcome outcome = get(urls, 1, 5000, 0);
    assert_null(strstr(outcome.headers, "x-interim"));
    check(outcome, RC_OK, 200, "after");
}

static void a_stale_connection_is_replaced_when_repeatable(void **state)
{
    (void)state;
    for (int repeatable = 1; repeatable >= 0; repeatable--) {
        GET(RC_OK, 200, "once", 5000, url(peer.port, "/once"));
        const char *const urls[] = { url(peer.port, "/echo") };
        int before = peer.requests;
        check(get(urls, 1, 5000, repeatable), repeatable ? RC_OK : RC_UNKNOWN, repeatable ? 200 : 0, "");
        assert_int_equal(peer.requests, before + 1 + repeatable);
    }
}

static void what_may_not_be_sent_is_refused(void **state)
{
    (void)state;
    const char *const urls[] = { url(peer.port, "/echo") };
    static const struct client_header bad[] = {
        { "X-A", "b\r\nX-Evil: 1" }, { "X-A", "b\nc" }, { "X A", "b" }, { "", "b" }, { NULL, "b" }, { "X-A:", "b" }, { "X-A\r\n", "b" },
    };
    int before = peer.requests;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check(ask(&(struct client_request){ .label = "test", .method = "GET", .urls = urls, .url_count = 1, .headers = &bad[i],
                                            .header_count = 1, .timeout_ms = 5000 }), RC_UNAVAILABLE, 0, "");
    check(ask(&(struct client_request){ .label = "test", .method = "GET /x HTTP/1.1\r\n", .urls = urls, .url_count = 1,
                                        .timeout_ms = 5000 }), RC_UNAVAILABLE, 0, "");
    check(get(urls, 0, 5000, 1), RC_UNAVAILABLE, 0, "");
    GET(RC_UNAVAILABLE, 0, "", 5000, "file:///etc/passwd");
    GET(RC_UNAVAILABLE, 0, "", 5000, "not a url");
    assert_int_equal(peer.requests, before);
}

static void a_label_has_at_most_so_many_in_flight_and_the_rest_wait(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    static struct outcome outcomes[COUNT];
    const char *const urls[] = { url(peer.port, "/hold") };
    peer.open_max = 0;
    peer.released = 0;
    for (int i = 0; i < COUNT; i++) {
        sem_init(&outcomes[i].ready, 0, 0);
        client_send(client, &(struct client_request){ .label = "crowd", .method = "GET", .urls = urls, .url_count = 1,
                                                      .timeout_ms = i == COUNT - 1 ? 100 : 20000 }, on_done, &outcomes[i]);
    }
    sem_wait(&outcomes[COUNT - 1].ready); /* the last one waits in the queue, until its time is up */
    check(outcomes[COUNT - 1], RC_UNAVAILABLE, 0, "");
    GET(RC_OK, 200, "", 5000, url(peer.port, "/echo")); /* another label is not held up */
    peer.released = 1;
    for (int i = 0; i < COUNT - 1; i++) {
        sem_wait(&outcomes[i].ready);
        check(outcomes[i], RC_OK, 200, "held");
    }
    assert_in_range(peer.open_max, 4, 5); /* the limit, and the other label's one */
}

static void background_work_leaves_places_for_callers(void **state)
{
    (void)state;
    static struct outcome background[8];
    const char *const held[] = { url(peer.port, "/hold") }, *const echo[] = { url(peer.port, "/echo") };
    peer.open_max = 0;
    peer.released = 0;
    for (int i = 0; i < 8; i++) {
        sem_init(&background[i].ready, 0, 0);
        client_send(client, &(struct client_request){ .label = "shared", .method = "GET", .urls = held, .url_count = 1,
                                                      .timeout_ms = 40000, .background = 1 }, on_done, &background[i]);
    }
    while (peer.open < 3)
        usleep(1000);
    for (int i = 0; i < 20; i++) /* behind eight, and yet at once: one of the four places is not theirs */
        check(ask(&(struct client_request){ .label = "shared", .method = "GET", .urls = echo, .url_count = 1, .timeout_ms = 5000 }),
              RC_OK, 200, "");
    assert_in_range(peer.open_max, 3, 4);
    peer.released = 1;
    for (int i = 0; i < 8; i++) {
        sem_wait(&background[i].ready);
        check(background[i], RC_OK, 200, "held");
    }
}

static void the_places_that_background_work_may_take(void **state)
{
    (void)state;
    static const size_t cases[][2] = { { 1, 1 }, { 2, 1 }, { 3, 2 }, { 4, 3 }, { 5, 3 }, { 8, 6 }, { 512, 384 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(client_background_max(cases[i][0]), cases[i][1]);
}

static void a_request_brings_its_labels_limit_along(void **state)
{
    (void)state;
    static struct outcome first, second;
    const char *const urls[] = { url(peer.port, "/hold") };
    struct client_request request = { .label = "narrow", .method = "GET", .urls = urls, .url_count = 1, .timeout_ms = 40000,
                                      .in_flight_max = 1 };
    peer.released = 0;
    int before = peer.requests;
    sem_init(&first.ready, 0, 0);
    client_send(client, &request, on_done, &first);
    while (peer.requests == before)
        usleep(1000);
    request.timeout_ms = 100;
    second = ask(&request); /* no place for it in half of its time */
    assert_int_equal(second.tried, 0);
    check(second, RC_UNAVAILABLE, 0, "");
    peer.released = 1;
    sem_wait(&first.ready);
    check(first, RC_OK, 200, "held");
    assert_int_equal(peer.requests, before + 1);
}

static int never(void *arg)
{
    (void)arg;
    return 0;
}

static void what_is_held_back_never_leaves(void **state)
{
    (void)state;
    const char *const urls[] = { url(peer.port, "/echo") };
    int before = peer.requests;
    struct outcome outcome = ask(&(struct client_request){ .label = "test", .method = "GET", .urls = urls, .url_count = 1,
                                                           .timeout_ms = 5000, .may_send = never });
    assert_int_equal(outcome.tried, 0);
    check(outcome, RC_UNAVAILABLE, 0, "");
    assert_int_equal(peer.requests, before);
    const char *const closed[] = { url(peer_closed_port(), "/echo") };
    outcome = get(closed, 1, 5000, 1);
    assert_int_equal(outcome.tried, 1); /* this failure is the other side's */
    check(outcome, RC_UNAVAILABLE, 0, "");
}

static void stopping_ends_what_is_in_flight_exactly_once(void **state)
{
    (void)state;
    struct client *own;
    assert_int_equal(client_new(&(struct client_options){ .per_label_max = 1 }, &own, NULL), RC_OK);
    static struct outcome outcomes[3];
    const char *const urls[] = { url(peer.port, "/hang") };
    int before = peer.requests;
    for (int i = 0; i < 3; i++) {
        sem_init(&outcomes[i].ready, 0, 0);
        if (i == 2)
            client_stop(own);
        client_send(own, &(struct client_request){ .label = "x", .method = "GET", .urls = urls, .url_count = 1, .timeout_ms = 60000 },
                    on_done, &outcomes[i]);
        while (i == 0 && peer.requests == before)
            usleep(1000);
    }
    for (int i = 0; i < 3; i++) {
        sem_wait(&outcomes[i].ready);
        check(outcomes[i], i == 0 ? RC_UNKNOWN : RC_UNAVAILABLE, 0, "");
    }
    client_free(own);
}

static void tls_is_verified_before_anything_is_sent(void **state)
{
    (void)state;
    struct tls_peer tls;
    tls_peer_start(&tls);
    char https[64], by_name[64];
    (void)snprintf(https, sizeof https, "https://127.0.0.1:%d/", tls.port);
    (void)snprintf(by_name, sizeof by_name, "https://localhost:%d/", tls.port);
    GET(RC_UNAVAILABLE, 0, "", 5000, https);
    assert_int_equal(tls.requests, 0);

    struct client *plain = client;
    assert_int_equal(client_new(&(struct client_options){ .ca_file = tls.ca_file }, &client, NULL), RC_OK);
    GET(RC_OK, 200, "tls", 5000, https);
    GET(RC_UNAVAILABLE, 0, "", 5000, by_name); /* the certificate is for the address only */
    assert_int_equal(tls.requests, 1);
    client_free(client);
    client = plain;
    tls_peer_stop(&tls);
}

static int set_up(void **state)
{
    (void)state;
    peer_start(&peer);
    return client_new(&(struct client_options){ .per_label_max = 4, .body_max = 100000 }, &client, NULL) == RC_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    client_free(client);
    peer_stop(&peer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(post_arrives_as_written_and_header_names_come_back_in_lower_case),
        cmocka_unit_test(one_connection_serves_many_requests),
        cmocka_unit_test(silence_is_a_timeout_and_so_is_dripping),
        cmocka_unit_test(a_closed_port_is_certainly_not_sent),
        cmocka_unit_test(the_next_host_is_tried_after_a_failure_to_connect),
        cmocka_unit_test(a_broken_connection_goes_to_the_next_host_only_when_repeatable),
        cmocka_unit_test(an_answer_cut_short_is_unknown),
        cmocka_unit_test(an_endless_answer_is_cut_off),
        cmocka_unit_test(a_redirect_is_an_answer_and_is_not_followed),
        cmocka_unit_test(an_interim_answer_is_not_the_answer),
        cmocka_unit_test(a_stale_connection_is_replaced_when_repeatable),
        cmocka_unit_test(what_may_not_be_sent_is_refused),
        cmocka_unit_test(a_label_has_at_most_so_many_in_flight_and_the_rest_wait),
        cmocka_unit_test(background_work_leaves_places_for_callers),
        cmocka_unit_test(the_places_that_background_work_may_take),
        cmocka_unit_test(a_request_brings_its_labels_limit_along),
        cmocka_unit_test(what_is_held_back_never_leaves),
        cmocka_unit_test(stopping_ends_what_is_in_flight_exactly_once),
        cmocka_unit_test(tls_is_verified_before_anything_is_sent),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
