# Plugins: one shared object each, one exported symbol.
plugin_ldflags = -module -avoid-version -shared -no-undefined -export-symbols-regex '^pn_plugin$$' $(PN_LDFLAGS)

# A plugin sees the public header and what plugins share, nothing of core.
plugin_cppflags = -D_GNU_SOURCE -I$(top_srcdir)/include -I$(top_srcdir)/plugins

include plugins/common/local.mk
include plugins/alipay/local.mk
include plugins/sink-rabbitmq/local.mk
include plugins/wechat/local.mk
