# What plugins share, linked into each of them; no plugin exports it.
noinst_LTLIBRARIES += plugins/common/libplugin-common.la
plugins_common_libplugin_common_la_SOURCES = \
	plugins/common/amount.c plugins/common/amount.h \
	plugins/common/base64.c plugins/common/base64.h \
	plugins/common/beijing.c plugins/common/beijing.h \
	plugins/common/charset.c plugins/common/charset.h \
	plugins/common/form.c plugins/common/form.h \
	plugins/common/pem.c plugins/common/pem.h \
	plugins/common/rsa.c plugins/common/rsa.h \
	plugins/common/rsa_key.c plugins/common/rsa_key.h \
	plugins/common/str.c plugins/common/str.h
plugins_common_libplugin_common_la_CPPFLAGS = $(plugin_cppflags)
