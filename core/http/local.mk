libcore_a_SOURCES += core/http/server.h
