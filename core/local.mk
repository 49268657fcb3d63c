# Everything of the server except main, so that the unit tests link the same objects.
noinst_LIBRARIES += libcore.a
libcore_a_SOURCES =
libcore_a_CPPFLAGS = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS) $(PQ_CFLAGS) $(SQLITE_CFLAGS) $(CURL_CFLAGS) \
	$(MHD_CFLAGS) $(INIH_CFLAGS) $(QRENCODE_CFLAGS) $(PNG_CFLAGS)
libcore_a_CFLAGS = $(AM_CFLAGS) $(PN_PIE_CFLAGS) -pthread
core_libs = libcore.a $(MHD_LIBS) $(CURL_LIBS) $(PQ_LIBS) $(SQLITE_LIBS) $(JANSSON_LIBS) $(INIH_LIBS) $(QRENCODE_LIBS) \
	$(PNG_LIBS) $(CRYPTO_LIBS) -ldl -lpthread

include core/base/local.mk
include core/config/local.mk
include core/plugin/local.mk
include core/client/local.mk
include core/store/local.mk
include core/pay/local.mk
include core/outbox/local.mk
include core/http/local.mk

sbin_PROGRAMS += paynotifyd
paynotifyd_SOURCES = core/main.c
paynotifyd_CPPFLAGS = $(libcore_a_CPPFLAGS)
paynotifyd_CFLAGS = $(libcore_a_CFLAGS)
paynotifyd_LDADD = $(core_libs)
# Plugins bring their own copies of what they need; nothing of the server is exported to them.
paynotifyd_LDFLAGS = $(AM_LDFLAGS) $(PN_PIE_LDFLAGS)
