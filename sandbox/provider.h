/*
 * What the control interface knows of a provider that is played: its book, its words, and what can be made to happen. Each
 * provider has one constant struct provider (alipay_control.c, wechat_control.c); handlers on any thread read it.
 */
#ifndef SANDBOX_PROVIDER_H
#define SANDBOX_PROVIDER_H

#include <stdint.h>

#include "sandbox.h"
#include "trades.h"

/* Whether the merchant is told: as the provider does by default, or as a test wants it. */
enum announce { ANNOUNCE_DEFAULT, ANNOUNCE_YES, ANNOUNCE_NO };

/* What the body of a call may say about an event; texts are NULL when they are not given. */
struct wish {
    enum announce announce;
    int64_t fen, coupon_fen; /* 0: not given */
    const char *refund_no, *notice_id, *notify_url;
};

/* Called with the book locked. Each returns NULL or, with nothing changed, why the state does not allow it (static text). */
struct trade_event {
    const char *name; /* NULL ends a list */
    const char *(*act)(struct sandbox *sandbox, struct trade *trade, const struct wish *wish);
};

struct refund_event {
    const char *name; /* NULL ends a list */
    const char *(*act)(struct sandbox *sandbox, struct refund *refund, const struct wish *wish);
};

struct provider {
    const char *name;
    struct trades *(*trades)(const struct sandbox *sandbox);
    /* By the merchant's number, or another by which payers know it. With the book locked. */
    struct trade *(*find)(struct sandbox *sandbox, const char *number);
    void (*expire_all)(struct sandbox *sandbox); /* closes what is over; locks by itself */
    const char *(*status)(const struct trade *trade);
    const char *(*product)(const struct trade *trade);
    const struct trade_event *events;
    const struct refund_event *refund_events;
};

extern const struct provider alipay_provider, wechat_provider;

#endif
