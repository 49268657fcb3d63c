# The Alipay channel. Everything but the descriptor is a convenience library too, so that tests and fuzz harnesses link it.
noinst_LTLIBRARIES += plugins/alipay/libalipay.la
plugins_alipay_libalipay_la_SOURCES = \
	plugins/alipay/alipay.h \
	plugins/alipay/answer.c \
	plugins/alipay/certificate.c \
	plugins/alipay/certificate.h \
	plugins/alipay/jsonraw.c \
	plugins/alipay/keys.c \
	plugins/alipay/notification.c \
	plugins/alipay/params.c \
	plugins/alipay/plugin.c \
	plugins/alipay/request.c \
	plugins/alipay/response.c \
	plugins/alipay/subject.c \
	plugins/alipay/trade.c \
	plugins/alipay/verify.c
plugins_alipay_libalipay_la_CPPFLAGS = $(plugin_cppflags) $(JANSSON_CFLAGS) $(CRYPTO_CFLAGS)
plugins_alipay_libalipay_la_LIBADD = plugins/common/libplugin-common.la $(JANSSON_LIBS) $(CRYPTO_LIBS)

pkglib_LTLIBRARIES += paynotify-alipay.la
paynotify_alipay_la_SOURCES =
paynotify_alipay_la_LDFLAGS = $(plugin_ldflags)
paynotify_alipay_la_LIBADD = plugins/alipay/libalipay.la
