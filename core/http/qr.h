/*
 * QR codes as pictures. Pure; any thread.
 */
#ifndef PN_HTTP_QR_H
#define PN_HTTP_QR_H

#include "base/arena.h"
#include "base/error.h"

enum { QR_PIXELS = 200 };

/* "data:image/png;base64,…" of `text` as a QR code of 200 × 200 pixels, quiet zone included. NULL when the text is too
 * long to be drawn legibly (about 650 bytes) or there is no memory. */
const char *qr_data_uri(const char *text, struct arena *arena);

#endif
