libcore_a_SOURCES += core/config/config.h core/config/ini.h
