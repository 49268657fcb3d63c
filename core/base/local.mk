libcore_a_SOURCES += \
	core/base/arena.c core/base/arena.h \
	core/base/buf.c core/base/buf.h core/base/escape.c \
	core/base/clock.c core/base/clock.h \
	core/base/error.c core/base/error.h \
	core/base/ids.c core/base/ids.h \
	core/base/log.c core/base/log.h \
	core/base/metrics.c core/base/metrics.h \
	core/base/money.c core/base/money.h \
	core/base/pool.c core/base/pool.h \
	core/base/text.c core/base/text.h
