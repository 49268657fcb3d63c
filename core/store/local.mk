libcore_a_SOURCES += core/store/store.h core/store/store.c core/store/driver.h core/store/statement.h core/store/statement.c \
	core/store/node.c core/store/node.h \
	core/store/sql/rows.h core/store/sql/orders.c core/store/sql/order_states.c core/store/sql/order_list.c \
	core/store/sql/records.c core/store/sql/record_list.c core/store/sql/schedule.c core/store/sql/nodes.c \
	core/store/sql/refunds.c core/store/sql/refund_states.c \
	core/store/sql/memory.c core/store/sql/outbox.c core/store/sql/settle.c \
	core/store/sqlite/sqlite.h core/store/sqlite/conn.c core/store/sqlite/open.c core/store/sqlite/migrate.c \
	core/store/sqlite/writer.c core/store/sqlite/checkpoint.c core/store/sqlite/settle.c core/store/sqlite/outbox.c \
	core/store/pg/pg.h core/store/pg/open.c core/store/pg/connect.c core/store/pg/wait.c core/store/pg/pool.c \
	core/store/pg/pipeline.c core/store/pg/array.c core/store/pg/rows.c core/store/pg/tx.c core/store/pg/migrate.c \
	core/store/pg/settle.c core/store/pg/insert.c core/store/pg/outbox.c

# The migrations, in order, become a C file of the build folder.
schema_files = core/store/schema/sqlite/0001_books.sql core/store/schema/pg/0001_books.sql
nodist_libcore_a_SOURCES = core/store/schema/embedded.c
CLEANFILES += core/store/schema/embedded.c
EXTRA_DIST += core/store/schema/embed.awk $(schema_files)

core/store/schema/embedded.c: core/store/schema/embed.awk $(schema_files)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && for f in $(schema_files); do echo "$(srcdir)/$$f"; done \
		| xargs $(AWK) -f $(srcdir)/core/store/schema/embed.awk > $@-t && mv $@-t $@
