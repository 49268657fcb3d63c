libcore_a_SOURCES += \
	core/pay/accept.c core/pay/batch.c core/pay/batch_writes.c core/pay/batch.h core/pay/breaker.c core/pay/breaker.h core/pay/cashier.c core/pay/cashier.h core/pay/close.c core/pay/committer.c core/pay/event.c \
	core/pay/follow_up.c core/pay/hint.c core/pay/internal.h core/pay/item.c core/pay/link.c core/pay/link.h core/pay/merchant.c \
	core/pay/merchant.h core/pay/orders.c core/pay/page.c core/pay/pay.c core/pay/pay.h core/pay/payments.c \
	core/pay/prepare.c core/pay/prepay.c core/pay/provider.c core/pay/return.c core/pay/settle.c core/pay/settle.h \
	core/pay/traffic.c core/pay/traffic.h
libcore_a_SOURCES += core/pay/refund.c core/pay/refund.h core/pay/refund_answer.c core/pay/refund_ask.c core/pay/refund_inquire.c

# the schedule: what happens after creation
libcore_a_SOURCES += \
	core/pay/backlog.c core/pay/backlog.h core/pay/close_order.c core/pay/order_end.c core/pay/pace.c core/pay/pace.h \
	 core/pay/review.c core/pay/task.c core/pay/task.h
