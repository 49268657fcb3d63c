EXTRA_DIST += tests/integration/postgres.py
