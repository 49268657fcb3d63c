libcore_a_SOURCES += core/http/attempt.c core/http/auth.c core/http/deadline.c core/http/engine.c core/http/head.c \
	core/http/html.c core/http/incoming.c core/http/input.c core/http/language.c core/http/listen.c core/http/notify.c core/http/ops.c \
	core/http/orders.c core/http/payer.c core/http/payments.c core/http/problem.c core/http/proxies.c core/http/qr.c \
	core/http/query.c core/http/rawjson.c core/http/reply.c core/http/request.c core/http/return.c core/http/route.c core/http/routes.c \
	core/http/server.c core/http/spec.c core/http/views.c core/http/watchdog.c core/http/attempt.h core/http/auth.h \
	core/http/deadline.h core/http/engine.h core/http/handlers.h core/http/head.h core/http/html.h core/http/incoming.h core/http/input.h \
	core/http/language.h core/http/listen.h core/http/problem.h core/http/proxies.h core/http/qr.h core/http/query.h \
	core/http/rawjson.h core/http/reply.h core/http/request.h core/http/route.h core/http/server.h core/http/spec.h \
	core/http/views.h core/http/watchdog.h
libcore_a_SOURCES += core/http/refunds.c

libcore_a_SOURCES += core/http/assets.c core/http/assets.h core/http/cashier.c core/http/cashier_view.c core/http/cashier_view.h

# The cashier's style sheet and script become a C file of the build folder.
asset_files = core/http/assets/cashier.css core/http/assets/cashier.js
nodist_libcore_a_SOURCES += core/http/assets/embedded.c
CLEANFILES += core/http/assets/embedded.c
EXTRA_DIST += core/http/assets/embed.awk $(asset_files)

core/http/assets/embedded.c: core/http/assets/embed.awk $(asset_files)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && for f in $(asset_files); do echo "$(srcdir)/$$f"; done \
		| xargs $(AWK) -f $(srcdir)/core/http/assets/embed.awk > $@-t && mv $@-t $@
