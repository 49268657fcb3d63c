# Plugins for tests only. -rpath makes libtool build shared objects that are never installed; they are in
# tests/plugins/.libs, which the tests name as their plugin directory.
test_plugin_cppflags = -D_GNU_SOURCE -I$(top_srcdir)/include
test_plugin_ldflags = -module -avoid-version -shared -no-undefined -rpath /nowhere $(PN_LDFLAGS)

check_LTLIBRARIES += \
	tests/plugins/paynotify-good-channel.la \
	tests/plugins/paynotify-good-sink.la \
	tests/plugins/paynotify-no-symbol.la \
	tests/plugins/paynotify-scripted-sink.la \
	tests/plugins/paynotify-other-abi.la

tests_plugins_paynotify_good_channel_la_SOURCES = tests/plugins/good_channel.c
tests_plugins_paynotify_good_channel_la_CPPFLAGS = $(test_plugin_cppflags)
tests_plugins_paynotify_good_channel_la_LDFLAGS = $(test_plugin_ldflags)
tests_plugins_paynotify_good_sink_la_SOURCES = tests/plugins/good_sink.c
tests_plugins_paynotify_good_sink_la_CPPFLAGS = $(test_plugin_cppflags)
tests_plugins_paynotify_good_sink_la_LDFLAGS = $(test_plugin_ldflags)
tests_plugins_paynotify_no_symbol_la_SOURCES = tests/plugins/no_symbol.c
tests_plugins_paynotify_no_symbol_la_CPPFLAGS = $(test_plugin_cppflags)
tests_plugins_paynotify_no_symbol_la_LDFLAGS = $(test_plugin_ldflags)
tests_plugins_paynotify_other_abi_la_SOURCES = tests/plugins/other_abi.c
tests_plugins_paynotify_other_abi_la_CPPFLAGS = $(test_plugin_cppflags)
tests_plugins_paynotify_other_abi_la_LDFLAGS = $(test_plugin_ldflags)
tests_plugins_paynotify_scripted_sink_la_SOURCES = tests/plugins/scripted_sink.c tests/plugins/scripted_sink.h
tests_plugins_paynotify_scripted_sink_la_CPPFLAGS = $(test_plugin_cppflags)
tests_plugins_paynotify_scripted_sink_la_LDFLAGS = $(test_plugin_ldflags)
