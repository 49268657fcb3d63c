/*
 * What went wrong, in one line and without secrets: written where it is found, handed up to plugin.c and sink.c, which
 * alone tell the host.
 */
#ifndef PAYNOTIFY_RABBITMQ_FAULT_H
#define PAYNOTIFY_RABBITMQ_FAULT_H

struct fault {
    const char *field; /* the setting at fault, or NULL */
    char text[400];
};

/* Writes the line and returns -1, so that `return fault_set(…)` reads well. */
int fault_set(struct fault *fault, const char *field, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
