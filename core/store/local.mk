libcore_a_SOURCES += core/store/store.h
libcore_a_SOURCES += core/store/node.c core/store/node.h
