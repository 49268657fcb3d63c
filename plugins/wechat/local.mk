# The WeChat Pay channel. Everything but the descriptor is a convenience library too, so that tests and fuzz harnesses link it.
noinst_LTLIBRARIES += plugins/wechat/libwechat.la
plugins_wechat_libwechat_la_SOURCES = \
	plugins/wechat/body.c \
	plugins/wechat/certificate.c \
	plugins/wechat/crypto.c \
	plugins/wechat/message.c \
	plugins/wechat/notification.c \
	plugins/wechat/plugin.c \
	plugins/wechat/prepay.c \
	plugins/wechat/refunds.c \
	plugins/wechat/request.c \
	plugins/wechat/response.c \
	plugins/wechat/sign.c \
	plugins/wechat/trade.c \
	plugins/wechat/wechat.h \
	plugins/wechat/xml.c
plugins_wechat_libwechat_la_CPPFLAGS = $(plugin_cppflags) $(XML_CFLAGS) $(CRYPTO_CFLAGS)
plugins_wechat_libwechat_la_LIBADD = plugins/common/libplugin-common.la $(XML_LIBS) $(CRYPTO_LIBS)

pkglib_LTLIBRARIES += paynotify-wechat.la
paynotify_wechat_la_SOURCES =
paynotify_wechat_la_LDFLAGS = $(plugin_ldflags)
paynotify_wechat_la_LIBADD = plugins/wechat/libwechat.la
