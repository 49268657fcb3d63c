libcore_a_SOURCES += core/client/client.c core/client/client.h core/client/internal.h core/client/transfer.c
