/*
 * The payer's language, for pages that people read: Chinese unless the browser prefers English. Pure.
 */
#ifndef PN_HTTP_LANGUAGE_H
#define PN_HTTP_LANGUAGE_H

enum language { LANGUAGE_ZH, LANGUAGE_EN };

/* accept_language: the header's value or NULL. */
enum language language_choose(const char *accept_language);

#endif
