libcore_a_SOURCES += core/client/client.h
