# core/base
EXTRA_DIST += tests/unit/unit.h

unit_tests += tests/unit/test_memory
tests_unit_test_memory_SOURCES = tests/unit/test_memory.c
tests_unit_test_memory_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_memory_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_text
tests_unit_test_text_SOURCES = tests/unit/test_text.c
tests_unit_test_text_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_text_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_values
tests_unit_test_values_SOURCES = tests/unit/test_values.c
tests_unit_test_values_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_values_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_runtime
tests_unit_test_runtime_SOURCES = tests/unit/test_runtime.c
tests_unit_test_runtime_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_runtime_LDADD = $(core_libs) $(CMOCKA_LIBS)

# core/plugin
unit_tests += tests/unit/test_plugin_load
tests_unit_test_plugin_load_SOURCES = tests/unit/test_plugin_load.c tests/unit/scratch.c tests/unit/scratch.h
tests_unit_test_plugin_load_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_plugin_load_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_plugin_calls
tests_unit_test_plugin_calls_SOURCES = tests/unit/test_plugin_calls.c tests/unit/scratch.c tests/unit/scratch.h
tests_unit_test_plugin_calls_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_plugin_calls_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_settings
tests_unit_test_settings_SOURCES = tests/unit/test_settings.c tests/unit/scratch.c tests/unit/scratch.h
tests_unit_test_settings_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_settings_LDADD = $(core_libs) $(CMOCKA_LIBS)

# core/config
unit_tests += tests/unit/test_ini
tests_unit_test_ini_SOURCES = tests/unit/test_ini.c tests/unit/scratch.c tests/unit/scratch.h
tests_unit_test_ini_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_ini_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_config
tests_unit_test_config_SOURCES = tests/unit/test_config.c tests/unit/scratch.c tests/unit/scratch.h
tests_unit_test_config_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_config_LDADD = $(core_libs) $(CMOCKA_LIBS)

unit_tests += tests/unit/test_documented
tests_unit_test_documented_SOURCES = tests/unit/test_documented.c
tests_unit_test_documented_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_documented_LDADD = $(core_libs) $(CMOCKA_LIBS)
