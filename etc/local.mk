# The sample goes to $(docdir), and to $(sysconfdir)/paynotify only where there is no configuration yet.
dist_doc_DATA = etc/paynotify.conf
EXTRA_DIST += etc/paynotify.service.in
CLEANFILES += etc/paynotify.service

etc/paynotify.service: etc/paynotify.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) etc && sed -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' $(srcdir)/etc/paynotify.service.in >$@

if SYSTEMD
systemdsystemunit_DATA = etc/paynotify.service
endif

install-data-local:
	$(MKDIR_P) '$(DESTDIR)$(sysconfdir)/paynotify'
	test -e '$(DESTDIR)$(sysconfdir)/paynotify/paynotify.conf' || \
	  $(INSTALL) -m 644 $(srcdir)/etc/paynotify.conf '$(DESTDIR)$(sysconfdir)/paynotify/paynotify.conf'

# What the admin has changed stays.
uninstall-local:
	if cmp -s $(srcdir)/etc/paynotify.conf '$(DESTDIR)$(sysconfdir)/paynotify/paynotify.conf'; then \
	  rm -f '$(DESTDIR)$(sysconfdir)/paynotify/paynotify.conf'; \
	fi
