/*
 * The worker pool, log lines and metrics.
 */
#include "unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/pool.h"

/* ---- pool */

/* A job that stays until the gate opens. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int inside;
    bool open;
};

static void gate_init(struct gate *gate)
{
    *gate = (struct gate){ .inside = 0 };
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
}

static void wait_at_gate(void *arg)
{
    struct gate *gate = arg;
    pthread_mutex_lock(&gate->lock);
    gate->inside++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void wait_until_inside(struct gate *gate, int count)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->inside < count)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void open_gate(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static void count_up(void *arg)
{
    atomic_fetch_add((_Atomic int *) arg, 1);
}

static void the_pool_runs_everything_that_it_took(void **state)
{
    struct pool *pool;
    _Atomic int count = 0;
    int accepted = 0;
    (void) state;
    assert_int_equal(pool_new(4, 100, "test", &pool, NULL), RC_OK);
    for (int i = 0; i < 10000; i++)
        accepted += pool_post(pool, count_up, &count) == RC_OK;
    pool_stop(pool);
    assert_int_equal(count, accepted);
    pool_free(pool);
    pool_free(NULL);
}

static void a_full_queue_refuses_posts_but_not_continuations(void **state)
{
    struct pool *pool;
    struct gate gate;
    _Atomic int count = 0;
    (void) state;
    gate_init(&gate);
    assert_int_equal(pool_new(2, 3, "test", &pool, NULL), RC_OK);
    assert_int_equal(pool_post(pool, wait_at_gate, &gate), RC_OK);
    assert_int_equal(pool_post(pool, wait_at_gate, &gate), RC_OK);
    wait_until_inside(&gate, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pool_post(pool, count_up, &count), RC_OK);
    assert_int_equal(pool_post(pool, count_up, &count), RC_FULL);
    pool_continue(pool, count_up, &count);
    assert_int_equal(pool_waiting(pool), 4);
    open_gate(&gate);
    pool_stop(pool);
    assert_int_equal(count, 4);
    assert_int_equal(pool_post(pool, count_up, &count), RC_UNAVAILABLE);
    pool_continue(pool, count_up, &count); /* still taken, and run before pool_free returns */
    pool_free(pool);
    assert_int_equal(count, 5);
}

struct chain {
    struct pool *pool;
    _Atomic int left;
};

static void next_link(void *arg)
{
    struct chain *chain = arg;
    if (atomic_fetch_sub(&chain->left, 1) > 1)
        pool_continue(chain->pool, next_link, chain);
}

static void stopping_waits_for_what_jobs_start_themselves(void **state)
{
    struct chain chain = { .left = 1000 };
    (void) state;
    assert_int_equal(pool_new(2, 4, "test", &chain.pool, NULL), RC_OK);
    assert_int_equal(pool_post(chain.pool, next_link, &chain), RC_OK);
    pool_free(chain.pool);
    assert_int_equal(chain.left, 0);
}

static void read_thread_name(void *arg)
{
    pthread_getname_np(pthread_self(), arg, 16);
}

static void threads_have_the_pool_s_name(void **state)
{
    struct pool *pool;
    char name[16] = "";
    (void) state;
    assert_int_equal(pool_new(1, 4, "a-rather-long-name", &pool, NULL), RC_OK);
    assert_int_equal(pool_post(pool, read_thread_name, name), RC_OK);
    pool_free(pool);
    assert_string_equal(name, "a-rather-lo-0");
}

/* ---- log: stderr goes to a file for the length of a test */

static int saved_stderr = -1;
static char log_path[] = "/tmp/paynotify-log-XXXXXX";

static void capture(void)
{
    int fd = open(log_path, O_RDWR | O_TRUNC);
    assert_true(fd >= 0);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fd, STDERR_FILENO) >= 0);
    close(fd);
}

static const char *captured(void)
{
    static char text[65536];
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    FILE *file = fopen(log_path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static void json_lines_are_json_whatever_is_in_them(void **state)
{
    (void) state;
    log_setup(LOG_JSON, LOG_LEVEL_DEBUG);
    capture();
    log_warn("two\nlines \"quoted\"", LOG_S("bytes", "\xff\x01"), LOG_I("number", -5), LOG_S("none", NULL));
    const char *text = captured();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    json_t *line = json_loads(text, 0, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(line, "msg")), "two\nlines \"quoted\"");
    assert_int_equal(json_integer_value(json_object_get(line, "number")), -5);
    assert_string_equal(json_string_value(json_object_get(line, "none")), "");
    json_decref(line);
}

static void logfmt_lines_stay_one_line_and_quote_what_could_be_misread(void **state)
{
    (void) state;
    log_setup(LOG_LOGFMT, LOG_LEVEL_INFO);
    capture();
    log_debug("too quiet");
    log_info("plain", LOG_S("a", "word"), LOG_S("b", "two words"), LOG_S("c", "x=1"), LOG_S("d", "\n"), LOG_I("n", 7));
    const char *text = captured();
    assert_non_null(strstr(text, " level=info msg=plain a=word b=\"two words\" c=\"x=1\" d=\"\\n\" n=7\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void *log_many(void *arg)
{
    for (int i = 0; i < 200; i++)
        log_info("a line of a certain length, so that mixing would show", LOG_S("thread", arg));
    return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
    pthread_t threads[4];
    static char names[4][2] = { "a", "b", "c", "d" };
    (void) state;
    log_setup(LOG_JSON, LOG_LEVEL_INFO);
    int fd = open(log_path, O_RDWR | O_TRUNC | O_APPEND);
    assert_true(fd >= 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, log_many, names[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    FILE *file = fopen(log_path, "r");
    char line[512];
    int count = 0;
    while (fgets(line, sizeof line, file)) {
        json_t *value = json_loads(line, 0, NULL);
        assert_non_null(value);
        json_decref(value);
        count++;
    }
    fclose(file);
    assert_int_equal(count, 800);
}

static void repeated_lines_are_limited_and_counted(void **state)
{
    struct log_limit limit = { 0 };
    int allowed = 0;
    (void) state;
    log_setup(LOG_LOGFMT, LOG_LEVEL_INFO);
    for (int i = 0; i < 50; i++)
        allowed += log_allow(&limit, 5);
    assert_int_equal(allowed, 5);
    limit.window_start_ms -= 60001; /* a minute later */
    capture();
    assert_true(log_allow(&limit, 5));
    assert_non_null(strstr(captured(), "count=45"));
    assert_true(log_allow(&limit, 5));
}

/* ---- metrics */

static void metrics_are_found_again_and_shown_sorted(void **state)
{
    struct buf text = { 0 };
    (void) state;
    struct metric *b = metric_counter("test_b_total", "kind=\"y\"", "Bs.");
    struct metric *a = metric_gauge("test_a", NULL, "As.");
    metric_add(metric_counter("test_b_total", "kind=\"x\"", "Bs."), 2);
    assert_ptr_equal(metric_counter("test_b_total", "kind=\"y\"", "Bs."), b);
    metric_add(b, 3);
    metric_add(b, 4);
    metric_set(a, -1);
    for (int i = 0; i < 200; i++) {
        char labels[32];
        snprintf(labels, sizeof labels, "number=\"%d\"", i);
        metric_add(metric_counter("test_c_total", labels, "Cs."), i);
    }
    assert_ptr_equal(metric_gauge("test_a", NULL, "As."), a);
    assert_ptr_equal(metric_counter_of("test_b_total", "kind", "y", "Bs."), b);
    metric_add(metric_gauge_of("test_d", "of", "\"\\", "Ds."), 1);
    metrics_render(&text);
    assert_non_null(strstr(buf_text(&text), "# HELP test_a As.\n# TYPE test_a gauge\ntest_a -1\n# HELP test_b_total Bs.\n"
                                            "# TYPE test_b_total counter\ntest_b_total{kind=\"x\"} 2\ntest_b_total{kind=\"y\"} 7\n"
                                            "# HELP test_c_total Cs.\n"));
    assert_non_null(strstr(buf_text(&text), "test_c_total{number=\"199\"} 199\n"));
    assert_non_null(strstr(buf_text(&text), "test_d{of=\"\\\"\\\\\"} 1\n"));
    buf_free(&text);
}

static int make_log_file(void **state)
{
    (void) state;
    int fd = mkstemp(log_path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_log_file(void **state)
{
    (void) state;
    return unlink(log_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pool_runs_everything_that_it_took),
        cmocka_unit_test(a_full_queue_refuses_posts_but_not_continuations),
        cmocka_unit_test(stopping_waits_for_what_jobs_start_themselves),
        cmocka_unit_test(threads_have_the_pool_s_name),
        cmocka_unit_test(json_lines_are_json_whatever_is_in_them),
        cmocka_unit_test(logfmt_lines_stay_one_line_and_quote_what_could_be_misread),
        cmocka_unit_test(lines_of_several_threads_do_not_mix),
        cmocka_unit_test(repeated_lines_are_limited_and_counted),
        cmocka_unit_test(metrics_are_found_again_and_shown_sorted),
    };
    return cmocka_run_group_tests(tests, make_log_file, remove_log_file);
}
