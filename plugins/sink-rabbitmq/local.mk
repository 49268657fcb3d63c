pkglib_LTLIBRARIES += paynotify-sink-rabbitmq.la
sink_rabbitmq_parts = plugins/sink-rabbitmq/fault.c plugins/sink-rabbitmq/fault.h plugins/sink-rabbitmq/url.c \
	plugins/sink-rabbitmq/url.h plugins/sink-rabbitmq/template.c plugins/sink-rabbitmq/template.h \
	plugins/sink-rabbitmq/window.c plugins/sink-rabbitmq/window.h plugins/sink-rabbitmq/wire.c \
	plugins/sink-rabbitmq/wire.h
paynotify_sink_rabbitmq_la_SOURCES = $(sink_rabbitmq_parts) plugins/sink-rabbitmq/settings.h \
	plugins/sink-rabbitmq/tls.c plugins/sink-rabbitmq/tls.h plugins/sink-rabbitmq/stream.c \
	plugins/sink-rabbitmq/stream.h plugins/sink-rabbitmq/resolve.c plugins/sink-rabbitmq/resolve.h \
	plugins/sink-rabbitmq/sink.h plugins/sink-rabbitmq/link.c \
	plugins/sink-rabbitmq/login.c plugins/sink-rabbitmq/topology.c plugins/sink-rabbitmq/publish.c \
	plugins/sink-rabbitmq/incoming.c plugins/sink-rabbitmq/sink.c plugins/sink-rabbitmq/plugin.c
paynotify_sink_rabbitmq_la_CPPFLAGS = -I$(top_srcdir)/include -D_GNU_SOURCE -DPN_VERSION='"$(PACKAGE_VERSION)"' $(RABBITMQ_CFLAGS) \
	$(SSL_CFLAGS)
paynotify_sink_rabbitmq_la_LDFLAGS = $(plugin_ldflags)
paynotify_sink_rabbitmq_la_LIBADD = $(RABBITMQ_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS)
