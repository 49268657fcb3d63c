/*
 * Waiting for a PostgreSQL connection with a deadline, and what its errors mean to us. Every file of pg/ calls in here,
 * on the thread that holds the connection.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "store/pg/pg.h"

enum rc pg_wait_socket(PGconn *pg, bool readable, bool writable, int64_t deadline_ms, struct error *err)
{
    struct pollfd fd = { .fd = PQsocket(pg), .events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0)) };
    if (fd.fd < 0)
        return error_set(err, RC_UNAVAILABLE, "the connection to PostgreSQL is lost");
    for (;;) {
        int64_t left_ms = deadline_ms - mono_ms();
        if (left_ms <= 0)
            return error_set(err, RC_TIMEOUT, "PostgreSQL did not answer in time");
        int ready = poll(&fd, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (ready > 0)
            return RC_OK;
        if (ready < 0 && errno != EINTR)
            return error_set(err, RC_UNAVAILABLE, "poll: %s", strerror(errno));
    }
}

static enum rc lost(PGconn *pg, struct error *err)
{
    const char *message = PQerrorMessage(pg);
    return error_set(err, RC_UNAVAILABLE, "the connection to PostgreSQL is lost: %.*s", (int)strcspn(message, "\n"), message);
}

enum rc pg_next_result(PGconn *pg, int64_t deadline_ms, PGresult **ret_result, struct error *err)
{
    while (PQisBusy(pg)) {
        int unsent = PQflush(pg);
        if (unsent < 0)
            return lost(pg, err);
        enum rc rc = pg_wait_socket(pg, true, unsent > 0, deadline_ms, err);
        if (rc != RC_OK)
            return rc;
        if (!PQconsumeInput(pg))
            return lost(pg, err);
    }
    *ret_result = PQgetResult(pg);
    return RC_OK;
}

enum rc pg_simple(PGconn *pg, const char *text, const char *const *values, int count, int64_t deadline_ms, PGresult **ret_result,
                  struct error *err)
{
    int sent = values == NULL ? PQsendQuery(pg, text) : PQsendQueryParams(pg, text, count, NULL, values, NULL, NULL, 0);
    if (!sent)
        return lost(pg, err);
    enum rc rc = RC_OK;
    PGresult *last = NULL, *result;
    for (;;) {
        enum rc waited = pg_next_result(pg, deadline_ms, &result, err);
        if (waited != RC_OK) {
            rc = waited;
            break;
        }
        if (result == NULL)
            break;
        ExecStatusType status = PQresultStatus(result);
        if (rc == RC_OK && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
            rc = pg_failed(pg, result, NULL, err);
        PQclear(last);
        last = result;
    }
    if (rc == RC_OK && ret_result != NULL)
        *ret_result = last;
    else
        PQclear(last);
    return rc;
}

/* By SQLSTATE; the classes are in the appendix "PostgreSQL Error Codes" of its manual. */
static enum rc state_rc(const char *state, const struct sql *sql)
{
    static const struct {
        const char *prefix;
        enum rc rc;
    } table[] = {
        { "22", RC_DATA },         { "23", RC_DATA },     { "54", RC_DATA },       /* refused values */
        { "40001", RC_RETRY },     { "40P01", RC_RETRY },                          /* serialization, deadlock */
        { "40003", RC_UNKNOWN },                                                   /* statement completion unknown */
        { "57014", RC_TIMEOUT },   { "55P03", RC_TIMEOUT },                        /* statement_timeout, lock_timeout */
        { "26000", RC_RETRY },     { "0A000", RC_RETRY },                          /* see pg_session_spoiled */
        { "08", RC_UNAVAILABLE },  { "53", RC_UNAVAILABLE }, { "57", RC_UNAVAILABLE }, { "58", RC_UNAVAILABLE },
        { "25006", RC_RETRY },     { "25P03", RC_UNAVAILABLE },                    /* became a standby; idle too long */
    };
    if (strcmp(state, "23505") == 0 && sql != NULL && sql->exists)
        return RC_EXISTS;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strncmp(state, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].rc;
    return RC_INTERNAL;
}

bool pg_session_spoiled(const PGresult *result)
{
    static const char *const states[] = { "25006", "26000", "0A000" };
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    for (size_t i = 0; state != NULL && i < sizeof states / sizeof states[0]; i++)
        if (strcmp(state, states[i]) == 0)
            return true;
    return false;
}

enum rc pg_failed(PGconn *pg, const PGresult *result, const struct sql *sql, struct error *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE), *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (state == NULL)
        return lost(pg, err);
    return error_set(err, state_rc(state, sql), "%s: %s (%s)", sql == NULL ? "PostgreSQL" : sql->name,
                     message == NULL ? "" : message, state);
}
