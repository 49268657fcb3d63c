/*
 * The one line that says what went wrong. Called from everywhere in this plugin, on the sink's thread.
 */
#include "fault.h"

#include <stdarg.h>
#include <stdio.h>

int fault_set(struct fault *fault, const char *field, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fault->field = field;
    vsnprintf(fault->text, sizeof fault->text, format, arguments);
    va_end(arguments);
    for (char *c = fault->text; *c; c++)
        if ((unsigned char) *c < ' ')
            *c = ' '; /* brokers put line breaks into their reasons */
    return -1;
}
