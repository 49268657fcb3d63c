libcore_a_SOURCES += core/outbox/completion.c core/outbox/completion.h core/outbox/formats.c core/outbox/formats.h \
	core/outbox/internal.h core/outbox/json.c core/outbox/json.h core/outbox/outbox.c core/outbox/outbox.h \
	core/outbox/payload.c core/outbox/payload.h core/outbox/plan.c core/outbox/policy.c core/outbox/policy.h \
	core/outbox/poller.c core/outbox/queue.c core/outbox/relay.c core/outbox/room.c core/outbox/sink.c core/outbox/slots.c \
	core/outbox/wait.h core/outbox/watchdog.c
