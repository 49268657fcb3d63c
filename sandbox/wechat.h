/*
 * The WeChat Pay side of the sandbox (API v2): what its files share. The gateway (wechat_gateway.c) checks and dispatches
 * calls, wechat_orders.c and wechat_refunds.c answer them, wechat_payer.c shows the payer's pages, wechat_events.c makes
 * things happen, wechat_notice.c writes what WeChat sends to merchants, wechat_account.c keeps keys and settings.
 */
#ifndef SANDBOX_WECHAT_H
#define SANDBOX_WECHAT_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>

#include "faults.h"
#include "form.h"
#include "provider.h"
#include "sandbox.h"
#include "server.h"
#include "trades.h"

extern const struct route_table wechat_gateway_routes, wechat_payer_routes, wechat_control_routes;

/* ---- wechat_account.c */

#define WECHAT_KEY_LENGTH 32

/* What a test may change while the sandbox runs. */
struct wechat_settings {
    int64_t close_after_ms; /* an order younger than that is not closed */
    int64_t mweb_life_ms;   /* of a mweb_url */
    enum refund_status refund_outcome; /* what becomes of a refund at once */
    char domain[256];       /* the Referer that mweb_url wants; "": any or none */
    bool check_address;     /* mweb_url: the browser's address must be spbill_create_ip */
};

/* Made by main, read-only but for the settings. */
struct wechat {
    char *appid, *mch_id;
    char api_key[WECHAT_KEY_LENGTH + 1];
    char stranger_key[WECHAT_KEY_LENGTH + 1]; /* nobody trusts it */
    struct trades *trades;
    bool demands_certificate; /* refunds come over TLS with the client's certificate, or not at all */
    pthread_mutex_t lock;
    struct wechat_settings settings; /* under lock */
};

/* The API key is read from `dir`, or made. NULL: *ret_error says what is wrong; the caller frees it. */
struct wechat *wechat_open(const char *dir, char **ret_error);
void wechat_free(struct wechat *wechat);
struct wechat_settings wechat_settings(const struct sandbox *sandbox);
void wechat_set(const struct sandbox *sandbox, const struct wechat_settings *settings);

/* ---- wechat_certificates.c: a test CA, the server's certificate and the merchant's */

/* Makes them in `dir` unless wechat-ca.pem is there: also wechat-server.pem with its key, apiclient_cert.pem, apiclient_key.pem
 * and apiclient_cert.p12, whose password is mch_id. False: *ret_error says why; the caller frees it. */
bool wechat_certificates(const char *dir, const char *mch_id, struct server_tls *ret_tls, char **ret_error);

/* ---- wechat_sign.c */

/* Upper-case hex of MD5 or HMAC-SHA256 over the fields without sign, with the key. The caller frees. */
char *wechat_signature(const char *key, bool hmac, const struct params *fields);
/* Adds nonce_str (when there is none) and sign, with the faults that the plan asks for. */
void wechat_sign(const struct wechat *wechat, bool hmac, struct params *fields, const struct fault_plan *plan);
/* Replaces members (null: removes). */
void wechat_change_fields(struct params *fields, const json_t *change);
/* 32 random hexadecimal digits. */
void wechat_nonce(char ret_nonce[static WECHAT_KEY_LENGTH + 1]);
/* base64 of AES-256-ECB under the key that the API key makes. The caller frees. */
char *wechat_encrypt(const char *key, const char *text);

/* ---- wechat_orders.c, wechat_refunds.c: answers of calls whose signature was checked. Each locks the trades. */

struct wechat_call {
    struct sandbox *sandbox;
    const struct params *params;
    bool hmac; /* how it was signed */
};

/* The fields of an answer. */
struct params wechat_success(const struct wechat_call *call);
struct params wechat_refusal(const struct wechat_call *call, const char *err_code, const char *err_code_des);
void wechat_set_fen(struct params *fields, const char *name, int64_t fen);
/* 1 to 10000000000 without leading zeros. */
bool wechat_parse_fen(const char *text, int64_t *ret_fen);
/* What numbers of the merchant's may hold; those of refunds also '@'. */
#define WECHAT_NUMBER "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-|*"
/* `least` to `most` of those characters. */
bool wechat_is_number(const char *text, size_t least, size_t most, const char *characters);
/* The trade that transaction_id or out_trade_no names. NULL: there is none. */
struct trade *wechat_named_trade(const struct wechat_call *call);

struct params wechat_unifiedorder(const struct wechat_call *call);
struct params wechat_orderquery(const struct wechat_call *call);
struct params wechat_closeorder(const struct wechat_call *call);
struct params wechat_refund(const struct wechat_call *call);
struct params wechat_refundquery(const struct wechat_call *call);

/* ---- wechat_time.c */

#define WECHAT_TIME_SIZE 15
/* yyyyMMddHHmmss in Beijing. */
void wechat_time(int64_t ms, char ret_text[static WECHAT_TIME_SIZE]);
bool wechat_parse_time(const char *text, int64_t *ret_ms);

/* ---- wechat_events.c: called with the trades locked */

/* By out_trade_no, transaction_id, prepay_id or the text of a code_url; closed first when its time is over. */
struct trade *wechat_find(struct sandbox *sandbox, const char *number);
void wechat_expire_all(struct sandbox *sandbox);
/* What a query answers: NOTPAY, SUCCESS ... */
const char *wechat_state(const struct trade *trade);
const char *wechat_refund_status(const struct refund *refund);

/* `coupon_fen`: so much of it is paid by a coupon; 0: nothing. */
const char *wechat_event_pay(struct sandbox *sandbox, struct trade *trade, int64_t coupon_fen, enum announce announce);
const char *wechat_event_close(struct trade *trade);
const char *wechat_event_expire(struct trade *trade);
/* An unpaid order as it looks for a while: USERPAYING, PAYERROR, ACCEPT; static text. */
const char *wechat_event_show(struct trade *trade, const char *state);
/* Made in the provider's console: it succeeds at once, and nobody is told unless that is wished. */
const char *wechat_event_refund(struct sandbox *sandbox, struct trade *trade, const struct wish *wish);
const char *wechat_event_refund_end(struct sandbox *sandbox, struct refund *refund, enum refund_status status,
                                    const struct wish *wish);

/* The merchant's parameter, as the order was made. NULL: it was not given. */
const char *wechat_order_text(const struct trade *trade, const char *name);
bool wechat_order_is_hmac(const struct trade *trade);
char *wechat_prepay_id(const struct trade *trade);

/* ---- wechat_notice.c */

/* The only payer there is, unless the order names another. */
#define WECHAT_OPENID "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"

/* Puts what notices and queries say of a paid order. */
void wechat_set_paid(struct params *fields, const struct trade *trade);
/* Queues a notice of the payment. `err_code`: it failed; NULL: it is paid. */
void wechat_notify(struct sandbox *sandbox, const struct trade *trade, const char *err_code);
void wechat_notify_refund(struct sandbox *sandbox, const struct refund *refund, const char *url);
/* A notice's body signed as an order's would be, for tests that make their own: fields over a usual notice. */
struct params wechat_sample_notice(struct sandbox *sandbox);
char *wechat_sign_notice(const struct wechat *wechat, bool hmac, struct params *fields, const struct fault_plan *plan);
/* The same for refunds: the fields inside req_info. */
struct params wechat_sample_refund_notice(struct sandbox *sandbox);
char *wechat_seal_notice(const struct wechat *wechat, struct params *fields, const struct fault_plan *plan);

#endif
