# Unit tests of the wechat channel; what plugins' tests share is in alipay.mk.
wechat_test_cppflags = $(plugin_test_cppflags) $(XML_CFLAGS)
wechat_test_sources = tests/unit/wechat_fixture.c tests/unit/wechat_fixture.h $(plugin_test_sources)
wechat_test_libs = plugins/wechat/libwechat.la $(CMOCKA_LIBS) $(JANSSON_LIBS) $(XML_LIBS) $(CRYPTO_LIBS)

unit_tests += tests/unit/test_wechat_sign
tests_unit_test_wechat_sign_SOURCES = tests/unit/test_wechat_sign.c $(wechat_test_sources)
tests_unit_test_wechat_sign_CPPFLAGS = $(wechat_test_cppflags)
tests_unit_test_wechat_sign_LDADD = $(wechat_test_libs)

unit_tests += tests/unit/test_wechat_notify
tests_unit_test_wechat_notify_SOURCES = tests/unit/test_wechat_notify.c $(wechat_test_sources)
tests_unit_test_wechat_notify_CPPFLAGS = $(wechat_test_cppflags)
tests_unit_test_wechat_notify_LDADD = $(wechat_test_libs)

unit_tests += tests/unit/test_wechat_refund_notify
tests_unit_test_wechat_refund_notify_SOURCES = tests/unit/test_wechat_refund_notify.c $(wechat_test_sources)
tests_unit_test_wechat_refund_notify_CPPFLAGS = $(wechat_test_cppflags)
tests_unit_test_wechat_refund_notify_LDADD = $(wechat_test_libs)

unit_tests += tests/unit/test_wechat_xml
tests_unit_test_wechat_xml_SOURCES = tests/unit/test_wechat_xml.c $(wechat_test_sources)
tests_unit_test_wechat_xml_CPPFLAGS = $(wechat_test_cppflags)
tests_unit_test_wechat_xml_LDADD = $(wechat_test_libs)

unit_tests += tests/unit/test_wechat_request
tests_unit_test_wechat_request_SOURCES = tests/unit/test_wechat_request.c $(wechat_test_sources)
tests_unit_test_wechat_request_CPPFLAGS = $(wechat_test_cppflags)
tests_unit_test_wechat_request_LDADD = $(wechat_test_libs)

unit_tests += tests/unit/test_wechat_response
tests_unit_test_wechat_response_SOURCES = tests/unit/test_wechat_response.c $(wechat_test_sources)
tests_unit_test_wechat_response_CPPFLAGS = $(wechat_test_cppflags)
tests_unit_test_wechat_response_LDADD = $(wechat_test_libs)

unit_tests += tests/unit/test_wechat_open
tests_unit_test_wechat_open_SOURCES = tests/unit/test_wechat_open.c $(wechat_test_sources)
tests_unit_test_wechat_open_CPPFLAGS = $(wechat_test_cppflags)
tests_unit_test_wechat_open_LDADD = $(wechat_test_libs)

unit_tests += tests/unit/test_wechat_garbage
tests_unit_test_wechat_garbage_SOURCES = tests/unit/test_wechat_garbage.c tests/unit/damage.c tests/unit/damage.h $(wechat_test_sources)
tests_unit_test_wechat_garbage_CPPFLAGS = $(wechat_test_cppflags)
tests_unit_test_wechat_garbage_LDADD = $(wechat_test_libs)
