/*
 * The faults of a configuration, one line each. Called by everything in core/config at start-up, one thread.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/ini.h"

void fault_add(struct faults *faults, const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *p = text; *p; p++)
        if ((unsigned char) *p < 0x20 || *p == 0x7f)
            *p = '?'; /* values come from files: no line breaks, nothing that moves a terminal's cursor */
    if (line)
        buf_addf(&faults->text, "%s:%d: %s\n", file, line, text);
    else
        buf_addf(&faults->text, "%s: %s\n", file, text);
    faults->count++;
}

void faults_free(struct faults *faults)
{
    buf_free(&faults->text);
    faults->count = 0;
}
