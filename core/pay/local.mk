libcore_a_SOURCES += core/pay/pay.h
