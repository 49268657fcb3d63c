include tests/unit/alipay.mk
include tests/unit/base.mk
include tests/unit/refunds.mk
include tests/unit/wechat.mk

unit_tests += tests/unit/test_breaker
tests_unit_test_breaker_SOURCES = tests/unit/test_breaker.c
tests_unit_test_breaker_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_breaker_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_provider
tests_unit_test_provider_SOURCES = tests/unit/test_provider.c tests/unit/http_peer.c tests/unit/http_peer.h tests/unit/scratch.c \
	tests/unit/scratch.h tests/unit/unit.h
tests_unit_test_provider_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS)
tests_unit_test_provider_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_hint
tests_unit_test_hint_SOURCES = tests/unit/test_hint.c tests/unit/scratch.c tests/unit/scratch.h tests/unit/unit.h
tests_unit_test_hint_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS)
tests_unit_test_hint_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_pace
tests_unit_test_pace_SOURCES = tests/unit/test_pace.c
tests_unit_test_pace_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_pace_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_settle
tests_unit_test_settle_SOURCES = tests/unit/test_settle.c
tests_unit_test_settle_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_settle_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_settle_refunds
tests_unit_test_settle_refunds_SOURCES = tests/unit/test_settle_refunds.c
tests_unit_test_settle_refunds_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_settle_refunds_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_link
tests_unit_test_link_SOURCES = tests/unit/test_link.c
tests_unit_test_link_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_link_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_client
tests_unit_test_client_SOURCES = tests/unit/test_client.c tests/unit/http_peer.c tests/unit/http_peer.h tests/unit/tls_peer.c \
	tests/unit/tls_peer.h
tests_unit_test_client_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS) $(MHD_CFLAGS) $(CRYPTO_CFLAGS)
tests_unit_test_client_LDADD = $(core_libs) $(CMOCKA_LIBS)

# Not a test by itself: tests/integration/test_sink_rabbitmq.py talks to it.
check_PROGRAMS += tests/unit/sink_driver
tests_unit_sink_driver_SOURCES = tests/unit/sink_driver.c
tests_unit_sink_driver_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE
tests_unit_sink_driver_LDADD = -ldl -lpthread

unit_tests += tests/unit/test_http_server
tests_unit_test_http_server_SOURCES = tests/unit/test_http_server.c tests/unit/raw_http.c tests/unit/raw_http.h
tests_unit_test_http_server_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS) $(CRYPTO_CFLAGS)
tests_unit_test_http_server_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_formats
tests_unit_test_formats_SOURCES = tests/unit/test_formats.c
tests_unit_test_formats_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_formats_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_outbox_parts
tests_unit_test_outbox_parts_SOURCES = tests/unit/test_outbox_parts.c
tests_unit_test_outbox_parts_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_outbox_parts_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_rabbitmq
tests_unit_test_rabbitmq_SOURCES = tests/unit/test_rabbitmq.c $(sink_rabbitmq_parts)
tests_unit_test_rabbitmq_CPPFLAGS = -I$(top_srcdir)/include -I$(top_srcdir)/plugins/sink-rabbitmq -D_GNU_SOURCE \
	$(RABBITMQ_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_rabbitmq_LDADD = $(RABBITMQ_LIBS) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_outbox
tests_unit_test_outbox_SOURCES = tests/unit/test_outbox.c tests/unit/outbox_rig.c tests/unit/outbox_rig.h tests/unit/broker.c \
	tests/unit/broker.h tests/plugins/scripted_sink.h
tests_unit_test_outbox_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS) $(SQLITE_CFLAGS)
tests_unit_test_outbox_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_http_input
tests_unit_test_http_input_SOURCES = tests/unit/test_http_input.c
tests_unit_test_http_input_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_http_input_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_http_views
tests_unit_test_http_views_SOURCES = tests/unit/test_http_views.c
tests_unit_test_http_views_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS) $(CRYPTO_CFLAGS) $(PNG_CFLAGS) \
	$(QRENCODE_CFLAGS)
tests_unit_test_http_views_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_outbox_life
tests_unit_test_outbox_life_SOURCES = tests/unit/test_outbox_life.c tests/unit/outbox_rig.c tests/unit/outbox_rig.h \
	tests/unit/broker.c tests/unit/broker.h tests/plugins/scripted_sink.h
tests_unit_test_outbox_life_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS) $(SQLITE_CFLAGS)
tests_unit_test_outbox_life_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_task
tests_unit_test_task_SOURCES = tests/unit/test_task.c tests/unit/pay_rig.c tests/unit/pay_rig.h tests/unit/scratch.c \
	tests/unit/scratch.h tests/unit/unit.h
tests_unit_test_task_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS)
tests_unit_test_task_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_policy
tests_unit_test_policy_SOURCES = tests/unit/test_policy.c tests/unit/pay_rig.c tests/unit/pay_rig.h tests/unit/scratch.c \
	tests/unit/scratch.h tests/unit/unit.h
tests_unit_test_policy_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS)
tests_unit_test_policy_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_closing
tests_unit_test_closing_SOURCES = tests/unit/test_closing.c tests/unit/pay_rig.c tests/unit/pay_rig.h tests/unit/scratch.c \
	tests/unit/scratch.h tests/unit/unit.h
tests_unit_test_closing_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS)
tests_unit_test_closing_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_client_certificate
tests_unit_test_client_certificate_SOURCES = tests/unit/test_client_certificate.c
tests_unit_test_client_certificate_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS) $(SSL_CFLAGS) $(CRYPTO_CFLAGS)
tests_unit_test_client_certificate_LDADD = $(core_libs) $(CMOCKA_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS)

unit_tests += tests/unit/test_cashier
tests_unit_test_cashier_SOURCES = tests/unit/test_cashier.c tests/unit/unit.h
tests_unit_test_cashier_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CMOCKA_CFLAGS)
tests_unit_test_cashier_LDADD = $(core_libs) $(CMOCKA_LIBS)
