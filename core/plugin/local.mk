libcore_a_SOURCES += \
	core/plugin/registry.h core/plugin/internal.h \
	core/plugin/channel.c \
	core/plugin/checks.c \
	core/plugin/descriptor.c \
	core/plugin/elf.c \
	core/plugin/host.c \
	core/plugin/load.c \
	core/plugin/settings.c \
	core/plugin/sink.c \
	core/plugin/value.c
