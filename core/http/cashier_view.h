/*
 * How the cashier's page looks in each of its states. Pure; workers.
 */
#ifndef PN_HTTP_CASHIER_VIEW_H
#define PN_HTTP_CASHIER_VIEW_H

#include "http/html.h"
#include "pay/cashier.h"

/* Writes the page, up to what page_reply adds. `signature` is the link's, checked. */
void cashier_view(struct page *ret_page, const struct cashier_page *shown, const char *signature, enum language language,
                  struct arena *arena);

int cashier_http_status(enum cashier_state state);

#endif
