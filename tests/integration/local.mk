EXTRA_DIST += tests/integration/postgres.py
EXTRA_DIST += tests/integration/rabbitmq.py
