libcore_a_SOURCES += core/base/arena.h core/base/buf.h core/base/clock.h core/base/error.h core/base/ids.h core/base/log.h core/base/metrics.h core/base/money.h core/base/pool.h core/base/text.h
