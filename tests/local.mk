# Unit tests (cmocka, TAP) and, in integration/, pytest against real servers.
unit_tests =

include tests/plugins/local.mk
include tests/unit/local.mk
include tests/store/local.mk
include tests/fuzz/local.mk
include tests/layers/local.mk
include tests/integration/local.mk

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
