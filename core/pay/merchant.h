/*
 * The merchant identity of a payment: named values such as app_id and seller_id, kept as "name=value;name=value" in the
 * record. Names that only one side states are no mismatch. Pure functions.
 */
#ifndef PN_PAY_MERCHANT_H
#define PN_PAY_MERCHANT_H

#include <paynotify/plugin.h>
#include <stdbool.h>

#include "base/buf.h"

/* Appends the text form; '%', ';' and '=' in values are percent-encoded. Nothing when the list is empty. */
void merchant_write(struct buf *buf, const struct pn_kv_list *merchant);

/* NULL on either side matches. */
bool merchant_matches(const char *books, const char *stated);

#endif
