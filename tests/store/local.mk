# One suite, run against each store by a script of its own.
if HAVE_CMOCKA
check_PROGRAMS += tests/store/test_store
TESTS += tests/store/sqlite tests/store/postgresql
endif
dist_check_SCRIPTS += tests/store/sqlite tests/store/postgresql
tests_store_test_store_SOURCES = tests/store/test_store.c tests/store/fixture.c tests/store/fixture.h tests/store/orders.c \
	tests/store/records.c tests/store/settlement.c tests/store/outbox.c tests/store/chains.c tests/store/refunds.c tests/store/refund_sums.c \
	tests/store/work.c tests/store/work.h tests/store/schedule.c tests/store/schedule_upkeep.c tests/store/leases.c \
	tests/store/takeover.c tests/store/transactions.c tests/store/life.c tests/store/server_faults.c
tests_store_test_store_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(SQLITE_CFLAGS)
tests_store_test_store_LDADD = $(core_libs) $(CMOCKA_LIBS)
