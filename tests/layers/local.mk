# Who includes whom, held against the table in doc/architecture.md; and the public header by itself.
layer_tests = tests/layers/includes tests/layers/header
dist_check_SCRIPTS += $(layer_tests)
TESTS += $(layer_tests)
