# Who includes whom, held against the table in doc/architecture.md.
dist_check_SCRIPTS += tests/layers/includes
TESTS += tests/layers/includes
