libcore_a_SOURCES += core/outbox/outbox.h
