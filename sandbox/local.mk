# The provider's side for tests and first steps. It shares no code with core and plugins, on purpose.
bin_PROGRAMS += paynotify-sandbox
paynotify_sandbox_SOURCES = sandbox/main.c sandbox/sandbox.h \
	sandbox/alipay.h sandbox/alipay_control.c sandbox/alipay_events.c sandbox/alipay_gateway.c sandbox/alipay_methods.c sandbox/alipay_notice.c \
	sandbox/alipay_payer.c sandbox/attempts.c sandbox/attempts.h sandbox/control.c sandbox/control.h sandbox/control_sign.c sandbox/faults.c sandbox/faults.h \
	sandbox/alipay_refunds.c sandbox/alipay_settings.c sandbox/certificates.c sandbox/certificates.h \
	sandbox/form.c sandbox/form.h sandbox/json.c sandbox/json.h sandbox/keys.c sandbox/keys.h sandbox/notifier.c sandbox/notifier.h sandbox/page.c sandbox/page.h sandbox/provider.h sandbox/server.c \
	sandbox/server.h sandbox/text.c sandbox/text.h sandbox/trades.c sandbox/trades.h \
	sandbox/wechat.h sandbox/wechat_account.c sandbox/wechat_certificates.c sandbox/wechat_control.c sandbox/wechat_events.c \
	sandbox/wechat_gateway.c sandbox/wechat_notice.c sandbox/wechat_orders.c sandbox/wechat_payer.c sandbox/wechat_refunds.c \
	sandbox/wechat_sign.c sandbox/wechat_time.c sandbox/xml.c sandbox/xml.h
paynotify_sandbox_CPPFLAGS = -D_GNU_SOURCE $(MHD_CFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS) $(CURL_CFLAGS) $(GNUTLS_CFLAGS)
paynotify_sandbox_CFLAGS = $(AM_CFLAGS) $(PN_PIE_CFLAGS) -pthread
paynotify_sandbox_LDFLAGS = $(AM_LDFLAGS) $(PN_PIE_LDFLAGS) -pthread
paynotify_sandbox_LDADD = $(MHD_LIBS) $(CURL_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) $(GNUTLS_LIBS)
