
unit_tests += tests/unit/test_settle
tests_unit_test_settle_SOURCES = tests/unit/test_settle.c
tests_unit_test_settle_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_settle_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_link
tests_unit_test_link_SOURCES = tests/unit/test_link.c
tests_unit_test_link_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_link_LDADD = $(core_libs) $(CMOCKA_LIBS)
