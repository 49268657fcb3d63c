/*
 * Opening and closing: what is refused and how it is said, migrations, and what a full disk does to SQLite.
 */
#include "config.h"

#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/statement.h"

static enum rc open_url(const char *url, struct error *err)
{
    struct store *other = NULL;
    memset(err, 0, sizeof *err);
    enum rc rc = store_open(&(struct store_options){ .url = url }, &other, err);
    if (rc == RC_OK)
        store_close(other);
    else
        assert_null(other);
    return rc;
}

static const struct sql count_versions = { .name = "test_versions", .text = "SELECT count(*) FROM schema_version" };
static const struct sql from_the_future = { .name = "test_future", .text = "INSERT INTO schema_version (version, applied_at) "
                                            "VALUES (999, 0)", .pg = "INSERT INTO schema_version (version) VALUES (999)" };
TX(versions, int64_t, return tx_i64(tx, &count_versions, NULL, 0, a, err);)
TX(add_future, void, (void)a; return tx_exec(tx, &from_the_future, NULL, 0, NULL, err);)

static void migrations_apply_once_and_newer_schemas_are_refused(void **state)
{
    (void)state;
    drop_side();
    const char *url = side_url();
    int64_t counts[2] = { 0, 0 };
    struct error err;
    for (int i = 0; i < 2; i++) {
        struct store *side = open_again(&(struct store_options){ .url = url });
        assert_int_equal(store_read(side, versions, &counts[i], NULL), RC_OK);
        if (i == 1)
            assert_int_equal(store_write(side, LANE_WORK, add_future, NULL, NULL), RC_OK);
        store_close(side);
    }
    assert_true(counts[0] >= 1);
    assert_int_equal(counts[0], counts[1]);
    assert_int_equal(open_url(url, &err), RC_CONFIG);
    assert_non_null(strstr(err.text, "schema 999"));
    drop_side();
}

static void wrong_urls_are_refused_without_their_password(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "",  "mysql://root:hunter2@x/y", "sqlite:", "sqlite::memory:", "postgresql://u:hunter2@[::1/x", "postgresql://u:hunter2@h/d?what=1",
        "sqlite:/no/such/folder/hunter2.db",
    };
    struct error err;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        enum rc rc = open_url(urls[i], &err);
        assert_true(rc == RC_CONFIG || rc == RC_UNAVAILABLE);
        assert_true(err.text[0] != '\0');
        assert_true(strncmp(urls[i], "sqlite", 6) == 0 || strstr(err.text, "hunter2") == NULL);
    }
    assert_int_equal(open_url("postgresql://u:hunter2@127.0.0.1:1/d", &err), RC_UNAVAILABLE);
    assert_null(strstr(err.text, "hunter2"));
}

static void store_says_what_it_is_and_that_it_lives(void **state)
{
    (void)state;
    struct error err = { 0 };
    assert_string_equal(store_kind(store), on_postgres() ? "postgresql" : "sqlite");
    assert_int_equal(store_ping(store, &err), RC_OK);
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    store_close(NULL);
}

static void second_server_on_one_file_is_refused(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(open_url(test_url(), &err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.text, arena_printf(arena, "pid %ld", (long)getpid())));
    char *link = arena_printf(arena, "%s.link", test_url() + strlen("sqlite:"));
    assert_int_equal(symlink(test_url() + strlen("sqlite:"), link), 0);
    assert_int_equal(open_url(arena_printf(arena, "sqlite:%s", link), &err), RC_UNAVAILABLE);
    unlink(link);
}

/* The writer is held up by one transaction: another gives up in time, and is not run later. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool entered, open;
    struct store *side;
    enum rc rc;
};
TX(wait_at_gate, struct gate, (void)tx; (void)err; pthread_mutex_lock(&a->mutex); a->entered = true;
   pthread_cond_broadcast(&a->changed); while (!a->open) pthread_cond_wait(&a->changed, &a->mutex);
   pthread_mutex_unlock(&a->mutex); return RC_OK;)
TX(never_runs, bool, (void)tx; (void)err; *a = true; return RC_OK;)

static void *hold_writer(void *arg)
{
    struct gate *gate = arg;
    gate->rc = store_write(gate->side, LANE_WORK, wait_at_gate, gate, NULL);
    return NULL;
}

static void waiting_for_a_busy_writer_ends_in_time(void **state)
{
    (void)state;
    drop_side();
    struct gate gate = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    gate.side = open_again(&(struct store_options){ .url = side_url(), .statement_timeout_ms = 20 });
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hold_writer, &gate), 0);
    pthread_mutex_lock(&gate.mutex);
    while (!gate.entered)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
    bool ran = false;
    assert_int_equal(store_write(gate.side, LANE_SETTLE, never_runs, &ran, NULL), RC_TIMEOUT);
    pthread_mutex_lock(&gate.mutex);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
    pthread_join(thread, NULL);
    assert_int_equal(gate.rc, RC_OK);
    assert_int_equal(store_write(gate.side, LANE_WORK, versions, &(int64_t){ 0 }, NULL), RC_OK);
    assert_false(ran);
    store_close(gate.side);
    drop_side();
}

TX(insert, struct order, return order_insert(tx, a, 1000, NULL, 0, err);)
TX(get, struct order, return order_get(tx, a->order_id, arena, a, err);)

/* RLIMIT_FSIZE stands in for the full disk: no file may grow. */
static void full_disk_fails_writes_until_there_is_room(void **state)
{
    (void)state;
    struct order order = { .order_id = new_id(), .app = "a", .out_business_id = new_name("n"), .name = "n", .amount_minor = 1,
                           .currency = "CNY", .status = ORDER_UNPAID };
    struct rlimit before, none;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    enum rc rc = write_rc(insert, &order);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(rc == RC_UNAVAILABLE || rc == RC_UNKNOWN);
    assert_int_equal(read_rc(get, &order), RC_NOT_FOUND);
    write_ok(insert, &order);
    assert_int_equal(read_rc(get, &order), RC_OK);
}

/* A process that dies without closing leaves everything that was committed, and no lock. */
static void killed_process_leaves_its_books_and_no_lock(void **state)
{
    (void)state;
    drop_side();
    const char *url = side_url();
    struct order order = { .order_id = new_id(), .app = "a", .out_business_id = new_name("n"), .name = "n", .amount_minor = 1,
                           .currency = "CNY", .status = ORDER_UNPAID };
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct store *side;
        bool fine = store_open(&(struct store_options){ .url = url }, &side, NULL) == RC_OK &&
                    store_write(side, LANE_SETTLE, insert, &order, NULL) == RC_OK;
        if (fine)
            raise(SIGKILL);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    struct store *side = open_again(&(struct store_options){ .url = url });
    assert_int_equal(store_read(side, get, &order, NULL), RC_OK);
    store_close(side);
    drop_side();
}

const struct CMUnitTest life_tests[] = {
    cmocka_unit_test(migrations_apply_once_and_newer_schemas_are_refused),
    cmocka_unit_test(wrong_urls_are_refused_without_their_password),
    cmocka_unit_test(store_says_what_it_is_and_that_it_lives),
    cmocka_unit_test(closing_nothing_is_fine),
};
const size_t life_test_count = sizeof life_tests / sizeof life_tests[0];

/* Of SQLite's only. */
const struct CMUnitTest file_tests[] = {
    cmocka_unit_test(second_server_on_one_file_is_refused),
    cmocka_unit_test(waiting_for_a_busy_writer_ends_in_time),
    cmocka_unit_test(full_disk_fails_writes_until_there_is_room),
    cmocka_unit_test(killed_process_leaves_its_books_and_no_lock),
};
const size_t file_test_count = sizeof file_tests / sizeof file_tests[0];
