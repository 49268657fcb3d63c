/*
 * The HTTP server over real sockets, with a stand-in for the business below it: who answers a request and how often, what
 * slow, lying and huge senders get, and that stopping answers everybody.
 */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "http/engine.h"
#include "pay/cashier.h"
#include "plugin/registry.h"
#include "unit/raw_http.h"

/* ---- the stand-in below */

/* What the next settlement does. */
enum settle_mode { SETTLE_AT_ONCE, SETTLE_ON_THREAD, SETTLE_NEVER, SETTLE_REFUSED };
static struct {
    _Atomic int mode;
    _Atomic int settled, replies_accepted, replies_refused, hints, returns;
    sem_t entered;
    pthread_mutex_t lock;
    struct {
        settle_done done;
        void *arg;
    } kept[64];
    size_t kept_count;
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct channel {
    int unused;
};
static struct channel the_channel;

void call_begin(struct pn_call *ret_call, struct arena *arena, const char *instance)
{
    *ret_call = (struct pn_call){ .arena = arena, .instance = instance };
}

int channel_notification(struct channel *channel, struct pn_call *call, const struct pn_http_incoming *incoming,
                         struct pn_notification *ret)
{
    static const struct pn_result result = { .size = sizeof result, .state = PN_STATE_PAID };
    (void) channel;
    (void) call;
    const struct pn_str *said = incoming->body.len > 0 ? &incoming->body : &incoming->query;
    if (said->len > 4 && memcmp(said->data, "hint", 4) == 0) {
        *ret = (struct pn_notification){ .size = ret->size, .verdict = PN_HINT, .pay_no = { said->data + 4, said->len - 4 } };
        return PN_OK;
    }
    bool genuine = incoming->body.len >= 2 && memcmp(incoming->body.data, "ok", 2) == 0;
    ret->verdict = genuine ? PN_AUTHENTIC : PN_REFUSED;
    ret->result = genuine ? &result : NULL;
    ret->reason = (struct pn_str){ "not ok", 6 };
    return PN_OK;
}

void channel_reply(struct channel *channel, struct pn_call *call, const struct pn_http_incoming *incoming, bool accepted,
                   struct pn_reply *ret)
{
    (void) channel;
    (void) call;
    (void) incoming;
    (accepted ? &fake.replies_accepted : &fake.replies_refused)[0]++;
    ret->status = 200;
    ret->content_type = (struct pn_str){ "text/plain", 10 };
    ret->body = accepted ? (struct pn_str){ "success", 7 } : (struct pn_str){ "fail", 4 };
}

const struct pn_product *const *channel_products(const struct channel *channel)
{
    (void) channel;
    return NULL;
}

const struct pn_product *channel_product(const struct channel *channel, const char *name)
{
    (void) channel;
    (void) name;
    return NULL;
}

const struct config_channel *config_channel_find(const struct config *config, const char *name)
{
    return strcmp(config->channels[0].name, name) == 0 ? &config->channels[0] : NULL;
}

bool config_app_may_use(const struct config_app *app, const char *channel)
{
    (void) app;
    (void) channel;
    return true;
}

/* A hint whose provider never answers, until the test says otherwise. */
static struct {
    hint_done done;
    void *arg;
} kept_hint;

static void keep_hint(hint_done done, void *arg)
{
    kept_hint.done = done;
    kept_hint.arg = arg;
}

bool settle_outcome_accepted(enum settle_outcome outcome)
{
    return outcome != SETTLED_NOT;
}

struct settle_job {
    settle_done done;
    void *arg;
};

static void *settle_thread(void *arg)
{
    struct settle_job job = *(struct settle_job *) arg;
    free(arg);
    job.done(job.arg, SETTLED_APPLIED);
    fake.settled++;
    return NULL;
}

enum rc pay_settle(struct pay *pay, const char *channel, const char *source, const struct pn_result *result, settle_done done,
                   void *arg, struct error *err)
{
    (void) pay;
    (void) channel;
    (void) source;
    (void) result;
    switch (atomic_load(&fake.mode)) {
    case SETTLE_AT_ONCE:
        done(arg, SETTLED_APPLIED);
        fake.settled++;
        return RC_OK;
    case SETTLE_ON_THREAD: {
        pthread_t thread;
        struct settle_job *job = malloc(sizeof *job);
        *job = (struct settle_job){ done, arg };
        assert_int_equal(pthread_create(&thread, NULL, settle_thread, job), 0);
        pthread_detach(thread);
        return RC_OK;
    }
    case SETTLE_NEVER:
        pthread_mutex_lock(&fake.lock);
        fake.kept[fake.kept_count].done = done;
        fake.kept[fake.kept_count++].arg = arg;
        pthread_mutex_unlock(&fake.lock);
        sem_post(&fake.entered);
        return RC_OK;
    default: return error_set(err, RC_FULL, "full");
    }
}

/* The committer comes back after all: it must find everything answered, and only drop its references. */
static void settle_kept(void)
{
    for (size_t i = 0; i < fake.kept_count; i++)
        fake.kept[i].done(fake.kept[i].arg, SETTLED_APPLIED);
    fake.kept_count = 0;
}

enum rc pay_order_create(struct pay *pay, const struct caller *caller, const struct order_request *request, struct arena *arena,
                         struct order *ret_order, bool *ret_created, struct error *err)
{
    (void) pay;
    (void) arena;
    (void) err;
    *ret_order = (struct order){ .order_id = 42,
                                 .app = caller->app->name,
                                 .out_business_id = request->out_business_id,
                                 .name = request->name,
                                 .amount_minor = request->amount_minor,
                                 .currency = request->currency,
                                 .status = ORDER_UNPAID };
    *ret_created = true;
    return RC_OK;
}

enum rc pay_order_get(struct pay *pay, const struct caller *caller, int64_t order_id, struct arena *arena, struct order_view *ret,
                      struct error *err)
{
    (void) pay;
    (void) arena;
    if (order_id != 42)
        return error_set(err, RC_NOT_FOUND, "no such order");
    *ret = (struct order_view){ .order = { .order_id = 42,
                                           .app = caller->app->name,
                                           .out_business_id = "b",
                                           .name = "n",
                                           .currency = "CNY",
                                           .status = ORDER_UNPAID } };
    return RC_OK;
}

enum rc pay_order_list(struct pay *pay, const struct caller *caller, struct order_filter *filter, struct arena *arena,
                       struct order **ret, size_t *ret_count, struct error *err)
{
    (void) pay, (void) caller, (void) filter, (void) arena, (void) ret, (void) ret_count;
    return error_set(err, RC_UNAVAILABLE, "the store is at secret.example");
}

void pay_payment_create(struct pay *pay, const struct caller *caller, const struct payment_request *request, struct arena *arena,
                        payment_done done, void *arg)
{
    (void) pay, (void) caller, (void) request, (void) arena, (void) done, (void) arg;
}

/* Never answers by itself; the test does, when everything is over. */
static payment_done pending_done;
static void *pending_arg;

void pay_payment_get(struct pay *pay, const struct caller *caller, int64_t pay_no, bool refresh, struct arena *arena,
                     payment_done done, void *arg)
{
    (void) pay, (void) caller, (void) pay_no, (void) refresh, (void) arena;
    pending_done = done;
    pending_arg = arg;
    sem_post(&fake.entered);
}

enum rc pay_payment_list(struct pay *pay, const struct caller *caller, struct record_filter *filter, struct arena *arena,
                         struct pay_record **ret, size_t *ret_count, struct error *err)
{
    (void) pay, (void) caller, (void) filter, (void) arena, (void) ret, (void) ret_count;
    return error_set(err, RC_INTERNAL, "a secret detail");
}

enum rc pay_payment_accept(struct pay *pay, const struct caller *caller, int64_t pay_no, struct arena *arena,
                           struct payment_view *ret, struct error *err)
{
    (void) pay, (void) caller, (void) pay_no, (void) arena, (void) ret;
    return error_set(err, RC_CONFLICT, "not late");
}

void pay_order_close(struct pay *pay, const struct caller *caller, int64_t order_id, struct arena *arena, order_done done,
                     void *arg)
{
    (void) pay, (void) caller, (void) order_id, (void) arena, (void) done, (void) arg;
}

void pay_page_open(struct pay *pay, int64_t pay_no, const char *signature, const char *client_ip, struct arena *arena,
                   page_done done, void *arg)
{
    (void) pay, (void) signature, (void) arena;
    static const struct param fields[] = { { "biz_content", "{\"a\":\"<&'\"}" } };
    static char seen[64];
    snprintf(seen, sizeof seen, "%s", client_ip);
    struct pay_page page = { .record = { .pay_no = pay_no },
                             .order = { .name = "<script>alert(1)</script>", .amount_minor = 8880, .currency = "CNY" },
                             .kind = PAGE_FORM,
                             .url = "https://gateway.pay.example.com/do?x=\"y\"",
                             .fields = fields,
                             .field_count = 1 };
    const struct error err = { .rc = RC_NOT_FOUND };
    if (pay_no > 70) {
        page.kind = pay_no == 71 ? PAGE_ELSEWHERE : pay_no == 75 ? PAGE_TRY_AGAIN : PAGE_REFUSED;
        page.order.status = pay_no == 74 ? ORDER_CLOSED : ORDER_UNPAID;
        page.record.status = pay_no > 72 ? PAYMENT_CLOSED : PAYMENT_UNPAID;
    }
    done(arg, pay_no == 7 || pay_no > 70 ? RC_OK : RC_NOT_FOUND, &page, &err);
}

enum rc pay_page_status(struct pay *pay, int64_t pay_no, const char *signature, struct arena *arena,
                        struct pay_record *ret_record, struct order *ret_order, struct error *err)
{
    (void) pay, (void) pay_no, (void) signature, (void) arena, (void) ret_record, (void) ret_order;
    return error_set(err, RC_NOT_FOUND, "no such payment");
}

/* The provider answers about 7, not about 8, and never about 9. */
void pay_hint(struct pay *pay, const char *channel, const char *pay_no, const char *refund_no, enum hint_source source,
              hint_done done, void *arg)
{
    (void) pay, (void) channel, (void) refund_no;
    (source == HINT_NOTICE ? &fake.hints : &fake.returns)[0]++;
    if (done && strcmp(pay_no, "9") != 0)
        done(arg, strcmp(pay_no, "7") == 0);
    else if (done)
        keep_hint(done, arg);
}

enum rc pay_return_open(struct pay *pay, const char *link, struct arena *arena, struct pay_return *ret, struct error *err)
{
    (void) pay, (void) arena;
    if (strncmp(link, "7-", 2) != 0)
        return error_set(err, RC_NOT_FOUND, "no such payment");
    *ret = (struct pay_return){ .order = { .name = "<script>alert(1)</script>", .amount_minor = 8880, .currency = "CNY" },
                                .state = strcmp(link, "7-paid") == 0     ? RETURN_PAID
                                         : strcmp(link, "7-late") == 0   ? RETURN_LATE
                                         : strcmp(link, "7-ended") == 0  ? RETURN_ENDED
                                         : strcmp(link, "7-closed") == 0 ? RETURN_CLOSED
                                                                         : RETURN_WAITING,
                                .shop_url = strcmp(link, "7-noshop") == 0 ? NULL : "https://shop.example/?a=1&b=\"<2>\"",
                                .pay_path = "pay/7?k=s&x",
                                .status_path = "pay/7/status?k=s&x" };
    return RC_OK;
}

size_t pay_channel_status(struct pay *pay, struct channel_status *ret, size_t max)
{
    (void) pay, (void) max;
    ret[0] = (struct channel_status){ .name = "fake", .state = CHANNEL_HELD_BACK, .reason = "no answer" };
    return 1;
}

void pay_refund_create(struct pay *pay, const struct caller *caller, const struct refund_request *request, struct arena *arena,
                       refund_done done, void *arg)
{
    (void) pay, (void) caller, (void) request, (void) arena, (void) done, (void) arg;
}

void pay_refund_retry(struct pay *pay, const struct caller *caller, int64_t refund_no, struct arena *arena, refund_done done,
                      void *arg)
{
    (void) pay, (void) caller, (void) refund_no, (void) arena, (void) done, (void) arg;
}

void pay_refund_get(struct pay *pay, const struct caller *caller, int64_t refund_no, bool refresh, struct arena *arena,
                    refund_done done, void *arg)
{
    (void) pay, (void) caller, (void) refund_no, (void) refresh, (void) arena, (void) done, (void) arg;
}

enum rc pay_refund_list(struct pay *pay, const struct caller *caller, struct refund_filter *filter, struct arena *arena,
                        struct refund **ret, size_t *ret_count, struct error *err)
{
    (void) pay, (void) caller, (void) filter, (void) arena, (void) ret, (void) ret_count;
    return error_set(err, RC_INTERNAL, "a secret detail");
}

enum rc pay_cashier_load(struct pay *pay, int64_t order_id, const char *signature, int64_t pay_no, const char *client_ip,
                         struct arena *arena, struct cashier_page *ret_page, struct error *err)
{
    (void) pay, (void) order_id, (void) signature, (void) pay_no, (void) client_ip, (void) arena, (void) ret_page;
    return error_set(err, RC_UNAVAILABLE, "the store is at secret.example");
}

void pay_cashier_choose(struct pay *pay, int64_t order_id, const char *signature, const char *channel, const char *product,
                        const char *client_ip, struct arena *arena, payment_done done, void *arg)
{
    (void) pay, (void) order_id, (void) signature, (void) channel, (void) product, (void) client_ip, (void) arena, (void) done;
    (void) arg;
}

const char *pay_cashier_link(struct pay *pay, int64_t order_id, struct arena *arena)
{
    (void) pay, (void) order_id;
    return arena_strdup(arena, "https://pay.example.com/cashier/42?k=1");
}

const char *cashier_state_name(enum cashier_state state)
{
    (void) state;
    return "choice";
}

enum rc store_ping(struct store *store, struct error *err)
{
    (void) store, (void) err;
    return RC_OK;
}

size_t outbox_sink_status(struct outbox *outbox, struct sink_status *ret, size_t max)
{
    (void) outbox, (void) ret, (void) max;
    return 0;
}

/* ---- the server under test */

struct fixture {
    struct config config;
    struct config_app apps[2];
    struct config_channel channel;
    struct http_server *server;
    struct pool *workers;
    int public_port, api_port;
    bool stopped;
};

static int port_of(const struct http_daemon *daemon)
{
    return (int) strtol(strrchr(daemon->listener.address, ':') + 1, NULL, 10);
}

static int start(void **state, int64_t notify_deadline_ms, int64_t receive_timeout_ms)
{
    static const char *const any[] = { "127.0.0.1:0" };
    static const char *const trusted[] = { "127.0.0.1" };
    struct fixture *f = calloc(1, sizeof *f);
    struct error err = { 0 };
    f->apps[0] = (struct config_app){ .name = "learning", .role = ROLE_APP, .key_count = 1 };
    f->apps[1] = (struct config_app){ .name = "admin", .role = ROLE_OPERATOR, .key_count = 1 };
    SHA256((const unsigned char *) "app-key", 7, f->apps[0].key_sha256[0]);
    SHA256((const unsigned char *) "admin-key", 9, f->apps[1].key_sha256[0]);
    f->channel = (struct config_channel){ .name = "fake", .channel = &the_channel };
    f->config = (struct config){ .apps = f->apps, .app_count = 2, .channels = &f->channel, .channel_count = 1 };
    f->config.server = (struct config_server){ .public_listen = any,
                                               .public_listen_count = 1,
                                               .api_listen = any,
                                               .api_listen_count = 1,
                                               .trusted_proxies = trusted,
                                               .trusted_proxy_count = 1,
                                               .http_threads = 2,
                                               .connection_limit = 200,
                                               .notify_deadline_ms = notify_deadline_ms,
                                               .receive_timeout_ms = receive_timeout_ms };
    sem_init(&fake.entered, 0, 0);
    fake.mode = SETTLE_AT_ONCE;
    fake.settled = fake.replies_accepted = fake.replies_refused = 0;
    assert_int_equal(pool_new(2, 64, "t", &f->workers, &err), RC_OK);
    assert_int_equal(http_bind(&f->config, &f->server, &err), RC_OK);
    struct http_options options = { .config = &f->config, .workers = f->workers };
    assert_int_equal(http_start(f->server, &options, &err), RC_OK);
    f->public_port = port_of(&f->server->daemons[0]);
    f->api_port = port_of(&f->server->daemons[1]);
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return start(state, 60000, 60000);
}

static int set_up_impatient(void **state)
{
    return start(state, 50, 300);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (!f->stopped)
        http_stop(f->server);
    settle_kept();
    pool_stop(f->workers);
    pool_free(f->workers);
    assert_int_equal(request_pool_living(f->server->requests), 0);
    http_free(f->server);
    sem_destroy(&fake.entered);
    free(f);
    return 0;
}

static struct raw_answer ask(int port, const char *text)
{
    int fd = raw_connect(port);
    raw_send(fd, text);
    struct raw_answer answer = raw_read(fd);
    close(fd);
    return answer;
}

static void expect(int port, const char *text, int status, const char *part)
{
    struct raw_answer answer = ask(port, text);
    if (answer.status != status || (part && !strstr(answer.body, part)))
        print_error("%s\n→ %s\n", text, answer.head);
    assert_int_equal(answer.status, status);
    assert_true(!part || strstr(answer.body, part));
    raw_free(&answer);
}

#define NOTIFY(body_) "POST /notify/fake HTTP/1.1\r\nHost: x\r\nContent-Length: " body_
#define KEY "Authorization: Bearer app-key\r\n"

/* ---- notifications */

static void notification_is_accepted_after_settlement(void **state)
{
    struct fixture *f = *state;
    expect(f->public_port, NOTIFY("2\r\n\r\nok"), 200, "success");
    fake.mode = SETTLE_ON_THREAD;
    expect(f->public_port, NOTIFY("2\r\n\r\nok"), 200, "success");
    assert_int_equal(fake.replies_accepted, 2);
}

static void notification_that_is_not_genuine_or_not_queued_is_refused(void **state)
{
    struct fixture *f = *state;
    expect(f->public_port, NOTIFY("3\r\n\r\nbad"), 200, "fail");
    fake.mode = SETTLE_REFUSED;
    expect(f->public_port, NOTIFY("2\r\n\r\nok"), 200, "fail");
    expect(f->public_port, "POST /notify/other HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok", 404, "not-found");
    expect(f->api_port, NOTIFY("2\r\n\r\nok"), 404, "not-found");
}

static void one_connection_carries_many_requests(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->public_port);
    for (int i = 0; i < 50; i++) {
        fake.mode = i % 2 ? SETTLE_ON_THREAD : SETTLE_AT_ONCE;
        raw_send(fd, NOTIFY("2\r\n\r\nok"));
        struct raw_answer answer = raw_read(fd);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, "success");
        raw_free(&answer);
    }
    close(fd);
}

static void deadline_answers_when_the_settlement_does_not(void **state)
{
    struct fixture *f = *state;
    fake.mode = SETTLE_NEVER;
    expect(f->public_port, NOTIFY("2\r\n\r\nok"), 200, "fail");
    settle_kept(); /* too late: drops its reference and answers nobody */
    assert_int_equal(fake.replies_accepted, 0);
    assert_int_equal(fake.replies_refused, 1);
}

/* Settlement, deadline and client race for the same requests; each is answered exactly once. */
static void deadline_and_settlement_race_but_answer_once(void **state)
{
    struct fixture *f = *state;
    enum { ROUNDS = 20, AT_ONCE = 32 };
    for (int round = 0; round < ROUNDS; round++) {
        int fds[AT_ONCE];
        fake.mode = SETTLE_NEVER;
        for (int i = 0; i < AT_ONCE; i++) {
            fds[i] = raw_connect(f->public_port);
            raw_send(fds[i], NOTIFY("2\r\n\r\nok"));
        }
        for (int i = 0; i < AT_ONCE; i++)
            sem_wait(&fake.entered);
        usleep((useconds_t) (round * 5000)); /* from well before the 50 ms deadline to well after it */
        pthread_mutex_lock(&fake.lock);
        settle_kept();
        pthread_mutex_unlock(&fake.lock);
        for (int i = 0; i < AT_ONCE; i++) {
            struct raw_answer answer = raw_read(fds[i]);
            assert_int_equal(answer.status, 200);
            raw_free(&answer);
            close(fds[i]);
        }
        assert_int_equal(fake.replies_accepted + fake.replies_refused, (round + 1) * AT_ONCE);
    }
}

static void stopping_answers_what_is_suspended(void **state)
{
    struct fixture *f = *state;
    enum { AT_ONCE = 20 };
    int fds[AT_ONCE];
    fake.mode = SETTLE_NEVER;
    for (int i = 0; i < AT_ONCE; i++) {
        fds[i] = raw_connect(f->public_port);
        raw_send(fds[i], NOTIFY("2\r\n\r\nok"));
    }
    for (int i = 0; i < AT_ONCE; i++)
        sem_wait(&fake.entered);
    http_stop(f->server);
    f->stopped = true;
    for (int i = 0; i < AT_ONCE; i++) {
        struct raw_answer answer = raw_read(fds[i]);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, "fail");
        raw_free(&answer);
        assert_true(raw_is_closed(fds[i]));
        close(fds[i]);
    }
}

static void quiesced_server_takes_no_connections_but_finishes_requests(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->public_port);
    fake.mode = SETTLE_NEVER;
    raw_send(fd, NOTIFY("2\r\n\r\nok"));
    sem_wait(&fake.entered);
    http_quiesce(f->server);
    settle_kept();
    char connection[32];
    struct raw_answer answer = raw_read(fd);
    assert_string_equal(answer.body, "success");
    assert_string_equal(raw_header(&answer, "connection", connection, sizeof connection), "close");
    raw_free(&answer);
    close(fd);
}

/* ---- bodies and senders */

static void body_limit_holds_for_announced_and_for_chunked_bodies(void **state)
{
    struct fixture *f = *state;
    enum { OVER = 64 * 1024 + 1 };
    char *filler = malloc(OVER + 1);
    memset(filler, 'x', OVER);
    filler[OVER] = '\0';
    char head[160];
    for (int chunked = 0; chunked < 2; chunked++) {
        int fd = raw_connect(f->public_port);
        snprintf(head, sizeof head,
                 chunked ? "POST /notify/fake HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n"
                         : "POST /notify/fake HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
                 OVER);
        raw_send(fd, head);
        raw_send_bytes(fd, filler, OVER);
        if (chunked)
            raw_send(fd, "\r\n0\r\n\r\n");
        struct raw_answer answer = raw_read(fd);
        assert_int_equal(answer.status, 413);
        raw_free(&answer);
        raw_send(fd, NOTIFY("2\r\n\r\nok")); /* the connection is still good */
        answer = raw_read(fd);
        assert_string_equal(answer.body, "success");
        raw_free(&answer);
        close(fd);
    }
    free(filler);
}

static void huge_announced_body_is_refused_before_it_is_sent(void **state)
{
    struct fixture *f = *state;
    expect(f->public_port, NOTIFY("99999999999\r\n\r\n"), 413, "body-too-large");
    expect(f->public_port, NOTIFY("100000\r\nExpect: 100-continue\r\n\r\n"), 413, "body-too-large");
}

static void bodies_of_all_requests_together_are_bounded(void **state)
{
    struct fixture *f = *state;
    f->server->body_bytes_max = 10;
    int first = raw_connect(f->public_port);
    raw_send(first, NOTIFY("9\r\n\r\nok456789")); /* one byte short: held until it comes */
    while (atomic_load(&f->server->body_bytes) < 8)
        usleep(1000);
    expect(f->public_port, NOTIFY("3\r\n\r\nok3"), 503, "overloaded");
    raw_send(first, "9");
    struct raw_answer answer = raw_read(first);
    assert_string_equal(answer.body, "success");
    raw_free(&answer);
    close(first);
    expect(f->public_port, NOTIFY("10\r\n\r\nok34567890"), 200, "success");
}

static void request_without_a_certain_end_is_refused_and_closed(void **state)
{
    struct fixture *f = *state;
    static const char *const heads[] = { "Content-Length: 2\r\nContent-Length: 30\r\n",
                                         "Content-Length: 2\r\nContent-Length: 2\r\n",
                                         "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
                                         "Transfer-Encoding: chunked\r\ncontent-length: 2\r\n" };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        int fd = raw_connect(f->public_port);
        raw_send(fd, "POST /notify/fake HTTP/1.1\r\nHost: x\r\n");
        raw_send(fd, heads[i]);
        raw_send(fd, "\r\nokGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        struct raw_answer answer = raw_read(fd);
        assert_int_equal(answer.status, 400);
        raw_free(&answer);
        answer = raw_read(fd);
        assert_int_equal(answer.status, 0);
        raw_free(&answer);
        close(fd);
    }
    assert_int_equal(fake.settled, 0);
}

static void slow_sender_is_cut_however_it_trickles(void **state)
{
    struct fixture *f = *state;
    static const char *const begun[] = { "POST /notify/fa", NOTIFY("10\r\n\r\nok"), "POST /notify/fake HTTP/1.1\r\nHost:", "" };
    for (size_t i = 0; i < sizeof begun / sizeof begun[0]; i++) {
        int fd = raw_connect(f->public_port);
        raw_send(fd, begun[i]);
        assert_true(raw_is_closed(fd));
        close(fd);
    }
    int fd = raw_connect(f->public_port);
    raw_send(fd, "POST /notify/fake HTTP/1.1\r\nHost: x\r\nX-A: ");
    int sent = 0;
    while (send(fd, "a", 1, MSG_NOSIGNAL) == 1 && sent < 10000) { /* ends when the server cuts */
        usleep(1000);
        sent++;
    }
    assert_true(sent < 10000);
    close(fd);
}

static void half_closed_connection_ends_after_its_answer(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->public_port);
    raw_send(fd, NOTIFY("2\r\n\r\nok"));
    shutdown(fd, SHUT_WR);
    struct raw_answer answer = raw_read(fd);
    assert_int_equal(answer.status, 200);
    raw_free(&answer);
    assert_true(raw_is_closed(fd));
    close(fd);
}

/* ---- the API */

static void api_needs_a_key_and_knows_roles(void **state)
{
    struct fixture *f = *state;
    char text[80];
    struct raw_answer answer = ask(f->api_port, "GET /v1/orders/42 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(answer.status, 401);
    assert_string_equal(raw_header(&answer, "www-authenticate", text, sizeof text), "Bearer realm=\"paynotify\"");
    raw_free(&answer);
    expect(f->api_port, "GET /v1/orders/42 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer app-keX\r\n\r\n", 401, NULL);
    expect(f->api_port, "GET /v1/orders/42 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \r\n\r\n", 401, NULL);
    expect(f->api_port, "GET /v1/orders/42 HTTP/1.1\r\nHost: x\r\nAuthorization: Basic app-key\r\n\r\n", 401, NULL);
    expect(f->api_port, "GET /v1/orders/42 HTTP/1.1\r\nHost: x\r\n" KEY "\r\n", 200, "\"order_id\":\"42\"");
    expect(f->public_port, "GET /v1/orders/42 HTTP/1.1\r\nHost: x\r\n" KEY "\r\n", 404, NULL);
}

static void wrong_paths_and_methods_are_told(void **state)
{
    struct fixture *f = *state;
    char text[80];
    struct raw_answer answer = ask(f->api_port, "DELETE /v1/orders HTTP/1.1\r\nHost: x\r\n" KEY "\r\n");
    assert_int_equal(answer.status, 405);
    assert_string_equal(raw_header(&answer, "allow", text, sizeof text), "POST, GET, HEAD");
    raw_free(&answer);
    expect(f->api_port, "GET /v1/orders/abc HTTP/1.1\r\nHost: x\r\n" KEY "\r\n", 404, NULL);
    expect(f->api_port, "GET /v1/orders/042 HTTP/1.1\r\nHost: x\r\n" KEY "\r\n", 404, NULL);
    expect(f->api_port, "GET /v1/orders/99999999999999999999 HTTP/1.1\r\nHost: x\r\n" KEY "\r\n", 404, NULL);
    expect(f->api_port, "GET /v1/orders/43 HTTP/1.1\r\nHost: x\r\n" KEY "\r\n", 404, "urn:paynotify:problem:not-found");
}

static void failures_below_do_not_tell_secrets(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = { "GET /v1/orders HTTP/1.1\r\nHost: x\r\n" KEY "\r\n",
                                         "GET /v1/payments HTTP/1.1\r\nHost: x\r\n" KEY "\r\n" };
    static const int statuses[] = { 503, 500 };
    for (size_t i = 0; i < 2; i++) {
        struct raw_answer answer = ask(f->api_port, paths[i]);
        assert_int_equal(answer.status, statuses[i]);
        assert_null(strstr(answer.body, "secret"));
        raw_free(&answer);
    }
}

static void order(int port, const char *body, int status, const char *part)
{
    char text[512];
    snprintf(text, sizeof text,
             "POST /v1/orders HTTP/1.1\r\nHost: x\r\n" KEY "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    expect(port, text, status, part);
}

static void orders_are_created_from_json_only(void **state)
{
    struct fixture *f = *state;
    order(f->api_port, "{\"out_business_id\":\"b1\",\"amount\":\"88.80\",\"name\":\"c\"}", 201, "\"amount\":\"88.80\"");
    order(f->api_port, "{\"out_business_id\":\"b1\",\"amuont\":\"88.80\",\"name\":\"c\"}", 422, "did you mean \\\"amount\\\"?");
    order(f->api_port, "{\"out_business_id\":\"b1\",\"amount\":88.80,\"name\":\"cc\"}", 422, "must be a string");
    order(f->api_port, "{\"out_business_id\":\"b1\",\"amount\":\"0.00\",\"name\":\"cc\"}", 422, "more than 0");
    order(f->api_port, "{", 400, "bad-json");
    order(f->api_port, "", 400, "empty");
    expect(f->api_port, "POST /v1/orders HTTP/1.1\r\nHost: x\r\n" KEY "Content-Length: 2\r\n\r\n{}", 415, "application/json");
}

static void work_that_does_not_end_is_cut_by_the_stop(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->api_port);
    raw_send(fd, "GET /v1/payments/7 HTTP/1.1\r\nHost: x\r\n" KEY "\r\n");
    sem_wait(&fake.entered);
    http_stop(f->server);
    f->stopped = true;
    struct raw_answer answer = raw_read(fd);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.body, "stopping"));
    raw_free(&answer);
    close(fd);
    const struct error err = { .rc = RC_UNKNOWN };
    pool_stop(f->workers);
    pending_done(pending_arg, RC_UNKNOWN, NULL, &err); /* answers nobody any more */
}

/* ---- the payer's page */

static void pay_page_is_escaped_and_locked_down(void **state)
{
    struct fixture *f = *state;
    char policy[512];
    struct raw_answer answer = ask(f->public_port,
                                   "GET /pay/7?k=sig HTTP/1.1\r\nHost: x\r\nAccept-Language: en-GB,en;q=0.9\r\n\r\n");
    assert_int_equal(answer.status, 200);
    assert_null(strstr(answer.body, "<script>alert"));
    assert_non_null(strstr(answer.body, "&lt;script&gt;alert(1)"));
    assert_non_null(strstr(answer.body, "action=\"https://gateway.pay.example.com/do?x=&quot;y&quot;\""));
    assert_non_null(strstr(answer.body, "value=\"{&quot;a&quot;:&quot;&lt;&amp;&#39;&quot;}\""));
    assert_non_null(strstr(answer.body, "<html lang=\"en\">"));
    raw_header(&answer, "content-security-policy", policy, sizeof policy);
    assert_non_null(strstr(policy, "default-src 'none'"));
    assert_non_null(strstr(policy, "form-action https://gateway.pay.example.com https://*.pay.example.com"));
    char *nonce = strstr(policy, "script-src 'nonce-") + strlen("script-src 'nonce-");
    nonce[32] = '\0';
    assert_non_null(strstr(answer.body, nonce));
    assert_string_equal(raw_header(&answer, "cache-control", policy, sizeof policy), "no-store");
    raw_free(&answer);
    expect(f->public_port, "GET /pay/8?k=sig HTTP/1.1\r\nHost: x\r\n\r\n", 404, "链接无效");
    expect(f->public_port, "GET /pay/7 HTTP/1.1\r\nHost: x\r\n\r\n", 404, "链接无效");
}

#define PAY(number_) "GET /pay/" number_ "?k=sig HTTP/1.1\r\nHost: x\r\nAccept-Language: en\r\n\r\n"

static void a_link_that_leads_to_no_payment_says_why(void **state)
{
    struct fixture *f = *state;
    expect(f->public_port, PAY("71"), 410, "Please pay in the shop&#39;s app");
    expect(f->public_port, PAY("72"), 410, "This order has expired");
    expect(f->public_port, PAY("73"), 410, "This payment is closed");
    expect(f->public_port, PAY("74"), 410, "This order is closed");
}

static void a_page_without_an_answer_claims_nothing_about_money(void **state)
{
    struct fixture *f = *state;
    struct raw_answer answer = ask(f->public_port, PAY("75"));
    assert_int_equal(answer.status, 503);
    assert_null(strstr(answer.body, "charged"));
    assert_non_null(strstr(answer.body, "do not pay again"));
    raw_free(&answer);
}

static void a_payer_who_is_turned_away_sees_a_page(void **state)
{
    struct fixture *f = *state;
    pool_stop(f->workers);
    for (int i = 0; i < 2; i++) {
        struct raw_answer answer = ask(f->public_port, i ? "GET /cashier/7?k=sig HTTP/1.1\r\nHost: x\r\n\r\n" : PAY("7"));
        char type[64];
        assert_int_equal(answer.status, 503);
        assert_string_equal(raw_header(&answer, "content-type", type, sizeof type), "text/html; charset=utf-8");
        raw_free(&answer);
    }
    expect(f->api_port, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 503, "urn:paynotify:problem:stopping");
}

static void a_hint_is_answered_as_the_provider_was_found(void **state)
{
    struct fixture *f = *state;
    int before = fake.hints, settled = fake.settled;
    expect(f->public_port, NOTIFY("5\r\n\r\nhint7"), 200, "success");
    expect(f->public_port, NOTIFY("5\r\n\r\nhint8"), 200, "fail");
    expect(f->public_port, NOTIFY("5\r\n\r\nhint9"), 200, "fail"); /* by the deadline */
    kept_hint.done(kept_hint.arg, true); /* too late for anybody to hear it */
    assert_int_equal(fake.hints, before + 3);
    assert_int_equal(fake.settled, settled);
}

#define RETURN(path_) "GET /return/" path_ " HTTP/1.1\r\nHost: x\r\nAccept-Language: en\r\n\r\n"

static void a_return_without_a_link_of_ours_shows_nothing(void **state)
{
    struct fixture *f = *state;
    int before = fake.returns;
    expect(f->public_port, RETURN("fake"), 200, "being confirmed");
    expect(f->public_port, RETURN("fake?out_trade_no=7"), 200, "being confirmed");
    assert_int_equal(fake.returns, before);
    struct raw_answer answer = ask(f->public_port, RETURN("fake?hint7"));
    assert_int_equal(answer.status, 200);
    assert_null(strstr(answer.body, "88.80"));
    assert_null(strstr(answer.body, "pay/7"));
    raw_free(&answer);
    assert_int_equal(fake.returns, before + 1);
    expect(f->public_port, RETURN("nobody"), 404, "not valid");
    expect(f->public_port, RETURN("fake/8-x"), 404, "not valid");
    expect(f->public_port, RETURN("fake/7-x/y"), 404, NULL);
}

static void a_return_by_our_own_link_shows_the_payment(void **state)
{
    struct fixture *f = *state;
    struct raw_answer answer = ask(f->public_port, RETURN("fake/7-x?app_id=1&sign=2"));
    assert_int_equal(answer.status, 200);
    assert_null(strstr(answer.body, "<script>alert"));
    assert_non_null(strstr(answer.body, "&lt;script&gt;alert(1)"));
    assert_non_null(strstr(answer.body, "88.80 CNY"));
    assert_non_null(strstr(answer.body, "data-status=\"../../pay/7/status?k=s&amp;x\""));
    assert_non_null(strstr(answer.body, "href=\"../../pay/7?k=s&amp;x\""));
    assert_non_null(strstr(answer.body, "href=\"https://shop.example/?a=1&amp;b=&quot;&lt;2&gt;&quot;\""));
    raw_free(&answer);
    static const char *const pages[][2] = {
        { RETURN("fake/7-paid"), "Payment received" },
        { RETURN("fake/7-late"), "The shop will take care" },
        { RETURN("fake/7-ended"), "This payment is closed" },
        { RETURN("fake/7-closed"), "can no longer be paid" },
    };
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        answer = ask(f->public_port, pages[i][0]);
        assert_int_equal(answer.status, 200);
        assert_non_null(strstr(answer.body, pages[i][1]));
        assert_non_null(strstr(answer.body, "Back to the shop"));
        assert_null(strstr(answer.body, "pay/7"));
        raw_free(&answer);
    }
    answer = ask(f->public_port, RETURN("fake/7-noshop"));
    assert_null(strstr(answer.body, "Back to the shop"));
    raw_free(&answer);
}

static void a_provider_that_is_down_makes_nobody_unready(void **state)
{
    struct fixture *f = *state;
    expect(f->api_port, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 200,
           "\"channels\":[{\"name\":\"fake\",\"state\":\"held_back\",\"reason\":\"no answer\"}]");
}

static void health_answers_on_both_sides(void **state)
{
    struct fixture *f = *state;
    expect(f->public_port, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, "ok");
    expect(f->api_port, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, "ok");
    expect(f->api_port, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 200, "\"ready\":true");
    expect(f->public_port, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 404, NULL);
    expect(f->api_port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200, "paynotify_http_answers_total{route=\"GET /healthz\"");
}

static void taken_address_is_named(void **state)
{
    struct fixture *f = *state;
    char address[64];
    struct listener listener;
    struct error err = { 0 };
    snprintf(address, sizeof address, "127.0.0.1:%d", f->api_port);
    assert_int_equal(listen_open(address, &listener, &err), RC_CONFIG);
    assert_non_null(strstr(err.text, address));
    assert_non_null(strstr(err.text, "taken"));
}

static void stale_unix_socket_is_replaced_and_a_living_one_is_not(void **state)
{
    (void) state;
    char folder[] = "/tmp/pn-listen-XXXXXX", address[128];
    struct listener first, second;
    struct error err = { 0 };
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof address, "unix:%s/s", folder);
    assert_int_equal(listen_open(address, &first, &err), RC_OK);
    assert_int_equal(listen_open(address, &second, &err), RC_CONFIG);
    close(first.fd); /* as a killed process leaves it */
    assert_int_equal(listen_open(address, &second, &err), RC_OK);
    listen_close(&second);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(notification_is_accepted_after_settlement, set_up, tear_down),
        cmocka_unit_test_setup_teardown(notification_that_is_not_genuine_or_not_queued_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_connection_carries_many_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deadline_answers_when_the_settlement_does_not, set_up_impatient, tear_down),
        cmocka_unit_test_setup_teardown(deadline_and_settlement_race_but_answer_once, set_up_impatient, tear_down),
        cmocka_unit_test_setup_teardown(stopping_answers_what_is_suspended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quiesced_server_takes_no_connections_but_finishes_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(body_limit_holds_for_announced_and_for_chunked_bodies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(huge_announced_body_is_refused_before_it_is_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bodies_of_all_requests_together_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(request_without_a_certain_end_is_refused_and_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_sender_is_cut_however_it_trickles, set_up_impatient, tear_down),
        cmocka_unit_test_setup_teardown(half_closed_connection_ends_after_its_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(api_needs_a_key_and_knows_roles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_paths_and_methods_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_below_do_not_tell_secrets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(orders_are_created_from_json_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(work_that_does_not_end_is_cut_by_the_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pay_page_is_escaped_and_locked_down, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hint_is_answered_as_the_provider_was_found, set_up_impatient, tear_down),
        cmocka_unit_test_setup_teardown(a_return_without_a_link_of_ours_shows_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_that_leads_to_no_payment_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_without_an_answer_claims_nothing_about_money, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_payer_who_is_turned_away_sees_a_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_return_by_our_own_link_shows_the_payment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_provider_that_is_down_makes_nobody_unready, set_up, tear_down),
        cmocka_unit_test_setup_teardown(health_answers_on_both_sides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(taken_address_is_named, set_up, tear_down),
        cmocka_unit_test(stale_unix_socket_is_replaced_and_a_living_one_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
