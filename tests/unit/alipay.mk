# Unit tests of plugins/common and of the alipay channel.

# Plugins under test are linked in, and see what plugins see.
plugin_test_cppflags = $(plugin_cppflags) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS) $(CRYPTO_CFLAGS)
plugin_test_sources = tests/unit/plugin_host.c tests/unit/plugin_host.h tests/unit/vectors.c tests/unit/vectors.h
alipay_test_sources = tests/unit/alipay_fixture.c tests/unit/alipay_fixture.h $(plugin_test_sources)
alipay_test_libs = plugins/alipay/libalipay.la $(CMOCKA_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS)
EXTRA_DIST += tests/vectors

unit_tests += tests/unit/test_alipay_sign
tests_unit_test_alipay_sign_SOURCES = tests/unit/test_alipay_sign.c $(alipay_test_sources)
tests_unit_test_alipay_sign_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_test_alipay_sign_LDADD = $(alipay_test_libs)

unit_tests += tests/unit/test_alipay_keys
tests_unit_test_alipay_keys_SOURCES = tests/unit/test_alipay_keys.c $(alipay_test_sources)
tests_unit_test_alipay_keys_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_test_alipay_keys_LDADD = $(alipay_test_libs)

unit_tests += tests/unit/test_alipay_notify
tests_unit_test_alipay_notify_SOURCES = tests/unit/test_alipay_notify.c $(alipay_test_sources)
tests_unit_test_alipay_notify_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_test_alipay_notify_LDADD = $(alipay_test_libs)

unit_tests += tests/unit/test_alipay_request
tests_unit_test_alipay_request_SOURCES = tests/unit/test_alipay_request.c $(alipay_test_sources)
tests_unit_test_alipay_request_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_test_alipay_request_LDADD = $(alipay_test_libs)

unit_tests += tests/unit/test_alipay_response
tests_unit_test_alipay_response_SOURCES = tests/unit/test_alipay_response.c $(alipay_test_sources)
tests_unit_test_alipay_response_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_test_alipay_response_LDADD = $(alipay_test_libs)

unit_tests += tests/unit/test_alipay_refund
tests_unit_test_alipay_refund_SOURCES = tests/unit/test_alipay_refund.c $(alipay_test_sources)
tests_unit_test_alipay_refund_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_test_alipay_refund_LDADD = $(alipay_test_libs)

unit_tests += tests/unit/test_alipay_cert
tests_unit_test_alipay_cert_SOURCES = tests/unit/test_alipay_cert.c $(alipay_test_sources)
tests_unit_test_alipay_cert_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_test_alipay_cert_LDADD = $(alipay_test_libs)

unit_tests += tests/unit/test_alipay_garbage
tests_unit_test_alipay_garbage_SOURCES = tests/unit/test_alipay_garbage.c tests/unit/damage.c tests/unit/damage.h $(alipay_test_sources)
tests_unit_test_alipay_garbage_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_test_alipay_garbage_LDADD = $(alipay_test_libs)

unit_tests += tests/unit/test_plugin_common
tests_unit_test_plugin_common_SOURCES = tests/unit/test_plugin_common.c
tests_unit_test_plugin_common_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_test_plugin_common_LDADD = plugins/common/libplugin-common.la $(CMOCKA_LIBS) $(CRYPTO_LIBS)

dist_check_SCRIPTS += tests/unit/plugin_exports
TESTS += tests/unit/plugin_exports
