# pytest against the real server, a real RabbitMQ and both stores. tap.py makes every pytest test one in the totals;
# each file is a test program of its own, so that several run at once under `make -jN check`.
integration_tests = \
	tests/integration/test_alipay.py \
	tests/integration/test_api.py \
	tests/integration/test_bad_input.py \
	tests/integration/test_cashier.py \
	tests/integration/test_cashier_browser.py \
	tests/integration/test_config.py \
	tests/integration/test_consistency.py \
	tests/integration/test_crash.py \
	tests/integration/test_delivery_faults.py \
	tests/integration/test_hints.py \
	tests/integration/test_idempotence.py \
	tests/integration/test_kills.py \
	tests/integration/test_life.py \
	tests/integration/test_listen.py \
	tests/integration/test_openapi.py \
	tests/integration/test_names.py \
	tests/integration/test_path.py \
	tests/integration/test_races.py \
	tests/integration/test_refunds.py \
	tests/integration/test_reference_c.py \
	tests/integration/test_refund_races.py \
	tests/integration/test_return.py \
	tests/integration/test_sandbox.py \
	tests/integration/test_sandbox_alipay.py \
	tests/integration/test_sandbox_refunds.py \
	tests/integration/test_settlement.py \
	tests/integration/test_settlement_rows.py \
	tests/integration/test_sink_rabbitmq.py \
	tests/integration/test_slow_provider.py \
	tests/integration/test_two_servers.py \
	tests/integration/test_wechat_path.py \
	tests/integration/test_wechat_sandbox.py
EXTRA_DIST += $(integration_tests) \
	tests/integration/books.py \
	tests/integration/browser.py \
	tests/integration/cashier.py \
	tests/integration/chromium.py \
	tests/integration/conftest.py \
	tests/integration/consistency.py \
	tests/integration/freezing.py \
	tests/integration/merchant.py \
	tests/integration/messages.py \
	tests/integration/notices.py \
	tests/integration/payment_rounds.py \
	tests/integration/paynotifyd.py \
	tests/integration/races.py \
	tests/integration/receiver.py \
	tests/integration/refund_rounds.py \
	tests/integration/sandbox.py \
	tests/integration/schema.py \
	tests/integration/tap.py \
	tests/integration/told.py \
	tests/integration/waiting.py \
	tests/integration/wechat.py

EXTRA_DIST += tests/integration/postgres.py
EXTRA_DIST += tests/integration/rabbitmq.py
EXTRA_DIST += tests/vectors/alipay-notify.json tests/vectors/alipay-sign.json tests/vectors/keys.json

TEST_EXTENSIONS = .py
PY_LOG_COMPILER = /usr/bin/python3 $(top_srcdir)/tests/integration/tap.py
PY_LOG_DRIVER = $(LOG_DRIVER)

if INTEGRATION
TESTS += $(integration_tests)
endif

# What takes long, for each store: 50 rounds of kill -9 instead of 5 or 3, 2,000 orders that things race for instead of 100.
check-long: all
	PN_ROUNDS=50 $(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='tests/integration/test_crash.py tests/integration/test_kills.py'
	PN_ROUNDS=2000 $(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='tests/integration/test_races.py tests/integration/test_refund_races.py'
