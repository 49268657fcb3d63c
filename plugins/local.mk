# Plugins: one shared object each, one exported symbol.
plugin_ldflags = -module -avoid-version -shared -no-undefined -export-symbols-regex '^pn_plugin$$' $(PN_LDFLAGS)

include plugins/common/local.mk
include plugins/alipay/local.mk
include plugins/sink-rabbitmq/local.mk
