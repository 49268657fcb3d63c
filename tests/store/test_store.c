/*
 * The store's test-suite: one for both stores. tests/store/sqlite and tests/store/postgresql run it with
 * PN_TEST_STORE_URL (and PN_TEST_PG_DIR) set.
 */
#include "config.h"

#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"

static int open_store(void **state)
{
    (void)state;
    struct error err = { 0 };
    ids_lease(1, 0, mono_ms() + 3600 * 1000);
    arena = arena_new(0);
    if (store_open(&(struct store_options){ .url = test_url() }, &store, &err) == RC_OK)
        return 0;
    print_error("%s\n", err.text);
    return -1;
}

static int close_store(void **state)
{
    (void)state;
    store_close(store);
    arena_free(arena);
    return 0;
}

static int begin_test(void **state)
{
    (void)state;
    arena_reset(arena);
    return 0;
}

static size_t add(struct CMUnitTest *all, size_t count, const struct CMUnitTest *tests, size_t more)
{
    memcpy(all + count, tests, more * sizeof *tests);
    for (size_t i = count; i < count + more; i++)
        all[i].setup_func = begin_test;
    return count + more;
}

int main(void)
{
    if (test_url() == NULL) {
        print_message("Bail out! PN_TEST_STORE_URL is not set; the scripts beside this file set it.\n");
        return 1;
    }
    log_setup(LOG_LOGFMT, LOG_LEVEL_ERROR);
    bool postgres = strncmp(test_url(), "sqlite:", 7) != 0;
    struct CMUnitTest tests[256];
    size_t count = 0;
    count = add(tests, count, order_tests, order_test_count);
    count = add(tests, count, record_tests, record_test_count);
    count = add(tests, count, settle_tests, settle_test_count);
    count = add(tests, count, refund_tests, refund_test_count);
    count = add(tests, count, refund_sum_tests, refund_sum_test_count);
    count = add(tests, count, outbox_tests, outbox_test_count);
    count = add(tests, count, chain_tests, chain_test_count);
    count = add(tests, count, schedule_tests, schedule_test_count);
    count = add(tests, count, upkeep_tests, upkeep_test_count);
    count = add(tests, count, lease_tests, lease_test_count);
    count = add(tests, count, takeover_tests, takeover_test_count);
    count = add(tests, count, tx_tests, tx_test_count);
    count = add(tests, count, life_tests, life_test_count);
    if (postgres)
        count = add(tests, count, pg_tests, pg_test_count);
    else
        count = add(tests, count, file_tests, file_test_count);
    return _cmocka_run_group_tests(postgres ? "store on PostgreSQL" : "store on SQLite", tests, count, open_store, close_store);
}
