unit_tests += tests/unit/test_refunds
tests_unit_test_refunds_SOURCES = tests/unit/test_refunds.c tests/unit/scratch.c tests/unit/scratch.h tests/unit/unit.h
tests_unit_test_refunds_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS)
tests_unit_test_refunds_LDADD = $(core_libs) $(CMOCKA_LIBS)
