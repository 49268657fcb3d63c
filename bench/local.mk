# The benchmark: built and run by `make bench` only.
EXTRA_PROGRAMS += bench/load bench/bare_publisher
bench_load_SOURCES = bench/load.c bench/notice.c bench/notice.h bench/histogram.c bench/histogram.h
bench_load_CPPFLAGS = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS)
bench_load_LDADD = $(CRYPTO_LIBS) -lpthread
bench_bare_publisher_SOURCES = bench/bare_publisher.c
bench_bare_publisher_CPPFLAGS = $(AM_CPPFLAGS) $(RABBITMQ_CFLAGS)
bench_bare_publisher_LDADD = $(RABBITMQ_LIBS)
CLEANFILES += $(EXTRA_PROGRAMS)
EXTRA_DIST += bench/due.py bench/notes.md bench/pgbench.sql bench/report.py bench/run.py bench/servers.py
CLEANFILES += bench/results.json bench-report.md

# PN_BENCH_COUNT=200000 make bench: more notifications per round. The report goes to bench-report.md in the build tree.
bench: all bench/load$(EXEEXT) bench/bare_publisher$(EXEEXT)
	PN_SRCDIR='$(abs_top_srcdir)' PN_BUILDDIR='$(abs_top_builddir)' PYTHONDONTWRITEBYTECODE=1 \
	  /usr/bin/python3 $(top_srcdir)/bench/run.py bench-report.md
