libcore_a_SOURCES += core/plugin/registry.h
