libcore_a_SOURCES += core/outbox/outbox.h core/outbox/policy.c core/outbox/policy.h
