# Harnesses: tests/fuzz/<name>.c with LLVMFuzzerTestOneInput and a folder tests/fuzz/corpus/<name>. `make check` runs each
# with driver.c; after ./configure CC=clang --enable-fuzz --enable-sanitize=address, `make fuzz` links them with libFuzzer.
# Pattern:
#     fuzz_tests += tests/fuzz/thing
#     tests_fuzz_thing_SOURCES = tests/fuzz/thing.c $(fuzz_main)
#     tests_fuzz_thing_LDFLAGS = $(fuzz_ldflags)
#     tests_fuzz_thing_LDADD = $(core_libs)
fuzz_tests =
EXTRA_DIST += tests/fuzz/driver.c tests/fuzz/corpus

if FUZZ
fuzz_main =
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_main = tests/fuzz/driver.c
fuzz_ldflags = $(AM_LDFLAGS)
endif

fuzz_tests += tests/fuzz/money
tests_fuzz_money_SOURCES = tests/fuzz/money.c $(fuzz_main)
tests_fuzz_money_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_money_LDADD = $(core_libs)

fuzz_tests += tests/fuzz/clock
tests_fuzz_clock_SOURCES = tests/fuzz/clock.c $(fuzz_main)
tests_fuzz_clock_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_clock_LDADD = $(core_libs)

fuzz_tests += tests/fuzz/escape
tests_fuzz_escape_SOURCES = tests/fuzz/escape.c $(fuzz_main)
tests_fuzz_escape_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_escape_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_escape_LDADD = $(core_libs)

fuzz_tests += tests/fuzz/formats
tests_fuzz_formats_SOURCES = tests/fuzz/formats.c $(fuzz_main)
tests_fuzz_formats_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_formats_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_formats_LDADD = $(core_libs)

fuzz_tests += tests/fuzz/rabbitmq
tests_fuzz_rabbitmq_SOURCES = tests/fuzz/rabbitmq.c plugins/sink-rabbitmq/incoming.c $(sink_rabbitmq_parts) $(fuzz_main)
tests_fuzz_rabbitmq_CPPFLAGS = -I$(top_srcdir)/include -I$(top_srcdir)/plugins/sink-rabbitmq -D_GNU_SOURCE \
	$(RABBITMQ_CFLAGS) $(SSL_CFLAGS)
tests_fuzz_rabbitmq_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_rabbitmq_LDADD = $(RABBITMQ_LIBS)
fuzz_tests += tests/fuzz/sandbox_form
tests_fuzz_sandbox_form_SOURCES = tests/fuzz/sandbox_form.c sandbox/form.c sandbox/text.c $(fuzz_main)
tests_fuzz_sandbox_form_CPPFLAGS = -D_GNU_SOURCE -I$(top_srcdir)/sandbox
tests_fuzz_sandbox_form_LDFLAGS = $(fuzz_ldflags)

fuzz_tests += tests/fuzz/sandbox_xml
tests_fuzz_sandbox_xml_SOURCES = tests/fuzz/sandbox_xml.c sandbox/xml.c sandbox/form.c sandbox/text.c $(fuzz_main)
tests_fuzz_sandbox_xml_CPPFLAGS = -D_GNU_SOURCE -I$(top_srcdir)/sandbox
tests_fuzz_sandbox_xml_LDFLAGS = $(fuzz_ldflags)

fuzz_tests += tests/fuzz/ini
tests_fuzz_ini_SOURCES = tests/fuzz/ini.c $(fuzz_main)
tests_fuzz_ini_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_ini_LDADD = $(core_libs)

alipay_fuzz_sources = tests/fuzz/alipay_believer.c tests/fuzz/alipay_believer.h tests/unit/plugin_host.c tests/unit/plugin_host.h
fuzz_tests += tests/fuzz/alipay_notification tests/fuzz/alipay_response
tests_fuzz_alipay_notification_SOURCES = tests/fuzz/alipay_notification.c $(alipay_fuzz_sources) $(fuzz_main)
tests_fuzz_alipay_notification_CPPFLAGS = $(plugin_cppflags) -I$(top_srcdir)/tests $(JANSSON_CFLAGS)
tests_fuzz_alipay_notification_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_alipay_notification_LDADD = plugins/alipay/libalipay.la $(JANSSON_LIBS)
tests_fuzz_alipay_response_SOURCES = tests/fuzz/alipay_response.c $(alipay_fuzz_sources) $(fuzz_main)
tests_fuzz_alipay_response_CPPFLAGS = $(plugin_cppflags) -I$(top_srcdir)/tests $(JANSSON_CFLAGS)
tests_fuzz_alipay_response_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_alipay_response_LDADD = plugins/alipay/libalipay.la $(JANSSON_LIBS)

fuzz_tests += tests/fuzz/wechat_xml tests/fuzz/wechat_notification
tests_fuzz_wechat_xml_SOURCES = tests/fuzz/wechat_xml.c $(fuzz_main)
tests_fuzz_wechat_xml_CPPFLAGS = $(plugin_cppflags)
tests_fuzz_wechat_xml_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_wechat_xml_LDADD = plugins/wechat/libwechat.la
tests_fuzz_wechat_notification_SOURCES = tests/fuzz/wechat_notification.c tests/unit/plugin_host.c tests/unit/plugin_host.h $(fuzz_main)
tests_fuzz_wechat_notification_CPPFLAGS = $(plugin_cppflags) -I$(top_srcdir)/tests $(CRYPTO_CFLAGS)
tests_fuzz_wechat_notification_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_wechat_notification_LDADD = plugins/wechat/libwechat.la $(CRYPTO_LIBS)

fuzz_tests += tests/fuzz/alipay_certificate
tests_fuzz_alipay_certificate_SOURCES = tests/fuzz/alipay_certificate.c $(fuzz_main)
tests_fuzz_alipay_certificate_CPPFLAGS = $(plugin_cppflags)
tests_fuzz_alipay_certificate_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_alipay_certificate_LDADD = plugins/alipay/libalipay.la

fuzz_tests += tests/fuzz/http_body
tests_fuzz_http_body_SOURCES = tests/fuzz/http_body.c $(fuzz_main)
tests_fuzz_http_body_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_http_body_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_http_body_LDADD = $(core_libs)

fuzz_tests += tests/fuzz/http_head
tests_fuzz_http_head_SOURCES = tests/fuzz/http_head.c $(fuzz_main)
tests_fuzz_http_head_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_http_head_LDADD = $(core_libs)

if FUZZ
EXTRA_PROGRAMS += $(fuzz_tests)
else
check_PROGRAMS += $(fuzz_tests)
TESTS += $(fuzz_tests)
endif

fuzz: $(fuzz_tests)
