/*
 * Result codes and error texts of the core. Every function that can fail returns an enum rc and describes the failure
 * once, in the caller's struct error; the caller decides whether to log it, answer it or add where it happened.
 */
#ifndef PN_BASE_ERROR_H
#define PN_BASE_ERROR_H

#include <stdarg.h>

enum rc {
    RC_OK = 0,
    RC_BAD_INPUT = -1,    /* the caller's data is wrong: 4xx */
    RC_NOT_FOUND = -2,
    RC_CONFLICT = -3,     /* the state does not allow it: 409 */
    RC_EXISTS = -4,       /* a unique key is taken */
    RC_FULL = -5,         /* a bounded queue is full: try later */
    RC_TIMEOUT = -6,
    RC_UNAVAILABLE = -7,  /* a store, broker or provider cannot be reached; nothing happened */
    RC_UNKNOWN = -8,      /* it may or may not have happened (connection lost at COMMIT, provider silent) */
    RC_RETRY = -9,        /* a transaction lost a race and may be run again */
    RC_DATA = -10,        /* the store refused a value (SQLSTATE 22, 23) */
    RC_DECLINED = -11,    /* a provider refused */
    RC_NOMEM = -12,
    RC_CONFIG = -13,
    RC_INTERNAL = -14
};

struct error {
    enum rc rc;
    char field[48];  /* the input field or setting at fault; empty when none */
    char text[464];  /* one line, no secret */
};

/* Records a failure and returns rc, so that `return error_set(err, RC_…, "…")` reads well. err may be NULL. */
enum rc error_set(struct error *err, enum rc rc, const char *format, ...) __attribute__((format(printf, 3, 4)));
enum rc error_field(struct error *err, enum rc rc, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "where: " in front of what is recorded. */
void error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A short, stable, lower-case word for logs: "timeout". */
const char *rc_name(enum rc rc);

#endif
