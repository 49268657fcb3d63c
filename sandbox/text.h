/*
 * Small helpers of the sandbox on text, money and time. Used everywhere in sandbox/, from any thread. The sandbox has
 * its own on purpose: a mistake here must not be shared with the server that it tests.
 */
#ifndef SANDBOX_TEXT_H
#define SANDBOX_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A test double that has no memory left has nothing better to do than to say so and stop. */
void *need(void *memory);
char *text_copy(const char *text); /* NULL stays NULL */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line on stderr, with the time in front. Only checked values belong in it. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool text_is_utf8(const char *bytes, size_t n);
size_t text_characters(const char *utf8);
/* 1 to `most` characters of [A-Za-z0-9_]. */
bool text_is_word(const char *text, size_t most);
/* http or https with a host, printable ASCII, at most `most` bytes. */
bool text_is_url(const char *text, size_t most);
void text_write_html(FILE *out, const char *text);

/* Yuan as decimal text with at most two decimals, 0.01 to 100000000, in fen. */
bool money_parse(const char *text, int64_t *ret_fen);
/* Two decimals; the caller frees. */
char *money_text(int64_t fen);

int64_t clock_now_ms(void);    /* wall clock */
int64_t clock_steady_ms(void); /* never jumps; for deadlines */

#define BEIJING_SIZE 20
/* yyyy-MM-dd HH:mm:ss at UTC+8, whatever the zone of this machine. */
void beijing_text(int64_t ms, char ret_text[static BEIJING_SIZE]);
bool beijing_parse(const char *text, int64_t *ret_ms);

#endif
