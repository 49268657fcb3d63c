libcore_a_SOURCES += \
	core/config/config.c core/config/config.h \
	core/config/expand.c core/config/expand.h \
	core/config/faults.c \
	core/config/ini.c core/config/ini.h \
	core/config/load.h \
	core/config/routes.c \
	core/config/section.c \
	core/config/server.c \
	core/config/tables.c core/config/tables.h
