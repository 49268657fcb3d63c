/*
 * The WeChat Pay channel's own pieces, seen by its files and its tests. The protocol: API v2 (XML over HTTPS, signed with a
 * shared key). All functions are pure on a state that is read-only after open; any thread.
 */
#ifndef PLUGINS_WECHAT_WECHAT_H
#define PLUGINS_WECHAT_WECHAT_H

#include <openssl/evp.h>
#include <openssl/provider.h>
#include <paynotify/plugin.h>
#include <stdbool.h>

#include "common/str.h"

struct wechat_settings {
    struct pn_str appid, mch_id, api_key, sign_type, sub_appid, sub_mch_id;
    struct pn_str url, backup_url, server_ip, wap_url, wap_name;
    struct pn_str client_certificate, client_key, client_p12, client_p12_password;
};

enum { SIGN_LEN_MAX = 64, AES_KEY_LEN = 32, MERCHANT_MAX = 3 };

/* What is needed of OpenSSL, fetched once. A library context of our own: MD5 must work where the system's default is FIPS. */
struct crypto {
    OSSL_LIB_CTX *library;
    OSSL_PROVIDER *provider;
    EVP_MD *md5;
    EVP_MAC *hmac;
    EVP_CIPHER *aes;
};

struct wechat {
    const struct pn_host *host;
    const struct wechat_settings *settings;
    struct crypto crypto;
    bool is_hmac;                               /* HMAC-SHA256 signs; otherwise MD5 */
    unsigned char refund_key[AES_KEY_LEN];      /* of refund notices */
    struct pn_str hosts[2];                     /* where requests go, without a slash at the end */
    size_t host_count;
    struct pn_str client_certificate, client_key; /* PEM, our own copies; absent: none */
    struct pn_kv merchant[MERCHANT_MAX];
    size_t merchant_count;
};

static inline void *wechat_alloc(const struct wechat *wechat, struct pn_call *call, size_t size)
{
    return wechat->host->alloc(call, size);
}

int wechat_fail(const struct wechat *wechat, struct pn_call *call, int rc, const char *field, const char *text);
int wechat_no_memory(const struct wechat *wechat, struct pn_call *call);

/* Puts a copy that lives as long as the call's result in the place of what *text points to. */
bool wechat_keep(const struct wechat *wechat, struct pn_call *call, struct pn_str *text);

/* ---- the calls of struct pn_channel, each in a file of its own */

int wechat_request(const void *state, struct pn_call *call, const struct pn_payment *payment, struct pn_step *ret_step);
int wechat_response(const void *state, struct pn_call *call, const struct pn_payment *payment, uint32_t round,
                    const struct pn_http_response *response, struct pn_step *ret_step);
int wechat_notification(const void *state, struct pn_call *call, const struct pn_http_incoming *incoming,
                        struct pn_notification *ret_notification);

/* ---- crypto.c */

/* NULL, or what is wrong with OpenSSL. crypto_close takes a half-opened one too. */
const char *crypto_open(struct crypto *crypto);
void crypto_close(struct crypto *crypto);

/* The key of refund notices: the lower-case hex of the MD5 of the API key, as text. */
bool crypto_refund_key(const struct crypto *crypto, struct pn_str api_key, unsigned char ret_key[AES_KEY_LEN]);

/* The plain text of req_info: base64 (line breaks skipped), AES-256-ECB, PKCS#7. spare and ret_text have in.len bytes each. */
bool crypto_open_req_info(const struct wechat *wechat, struct pn_str in, char *spare, char *ret_text, size_t *ret_len);

/* ---- certificate.c */

/* Fills client_certificate and client_key from the settings, when there are any. NULL, or what is wrong with *ret_field. */
const char *certificate_open(struct wechat *wechat, const char **ret_field);
void certificate_close(struct wechat *wechat);

/* ---- xml.c: one flat level of elements, the only XML there is here */

enum { XML_BYTES_MAX = 65536, XML_ELEMENTS_MAX = 250, XML_NAME_MAX = 64 };

/*
 * Reads <root><name>value</name>…</root>. No DOCTYPE, no entities but the five built in, no other encoding than UTF-8; depth,
 * size and number of elements are bounded. Attributes, comments and processing instructions are skipped. Repeated names are
 * kept. text: body.len bytes, which the fields then point into; fields: XML_ELEMENTS_MAX of them.
 * Returns NULL, or what is wrong.
 */
const char *xml_read(struct pn_str body, const char *root, char *text, struct pn_kv *fields, size_t *ret_count);

/* <xml> with one CDATA element per field. Returns the length; ret_text may be NULL to learn it. */
size_t xml_write(const struct pn_kv *fields, size_t count, char *ret_text);

/* ---- sign.c: the text that is signed, and its signature */

/* By name, in byte order. */
void sign_sort(struct pn_kv *fields, size_t count);

/* k=v of sorted fields joined with '&', raw, without empty ones and without sign. PN_INTERNAL without memory. */
int sign_text(const struct wechat *wechat, struct pn_call *call, const struct pn_kv *fields, size_t count, struct pn_str *ret_text);

/* The signature over text + "&key=" + API key: 32 or 64 upper-case hex digits. False only for a fault of the library. */
bool sign_make(const struct wechat *wechat, struct pn_str text, char ret_sign[SIGN_LEN_MAX], size_t *ret_len);

/* In constant time. */
bool sign_holds(const struct wechat *wechat, struct pn_str text, struct pn_str sign);

/* Sorts the fields and appends `sign_name`: fields has room for it. */
int sign_fields(const struct wechat *wechat, struct pn_call *call, struct pn_kv *fields, size_t *count, const char *sign_name);

/* ---- message.c: what WeChat sends, and whether it is its word */

enum message_trust {
    MESSAGE_SIGNED,   /* WeChat's word */
    MESSAGE_UNSIGNED, /* well-formed, without a signature: proves nothing */
    MESSAGE_INVALID,  /* the signature does not hold */
    MESSAGE_MALFORMED
};

struct message {
    enum message_trust trust;
    const char *fault;        /* in words, unless signed */
    struct pn_kv_list fields; /* sorted, each name once, without sign; empty when MALFORMED */
};

/* PN_OK whatever the message is worth. */
int message_read(const struct wechat *wechat, struct pn_call *call, struct pn_str body, struct message *ret_message);

/* The fields alone, of an unsigned text: sorted, each name once. *ret_fault: NULL, or what is wrong. */
int message_fields(const struct wechat *wechat, struct pn_call *call, struct pn_str body, const char *root,
                   struct pn_kv_list *ret_fields, const char **ret_fault);

/* ---- request.c */

/* The signed request of an operation. PN_REFUND_QUERY asks for payment->refund_no when that is what the payment's own
 * operation is, else for all refunds of the payment. */
int request_make(const struct wechat *wechat, struct pn_call *call, const struct pn_payment *payment, uint32_t operation,
                 const struct pn_http_request **ret_request);

/* 32 random hex digits. False without memory. */
bool request_nonce(const struct wechat *wechat, struct pn_call *call, struct pn_str *ret_nonce);

/* ---- body.c: texts that WeChat takes */

/* `in` for body and refund_desc: '=' and '&' become their full-width twins, controls a space, what WeChat's UTF-8 or XML cannot
 * hold a '?'; cut at a character, at most max bytes. ret_text has max bytes. Returns the length. */
size_t body_clean(struct pn_str in, size_t max, char *ret_text);

/* ---- prepay.c: what the payer gets */

int prepay_read(const struct wechat *wechat, struct pn_call *call, const struct pn_payment *payment, struct pn_kv_list fields,
                struct pn_result *result);

/* ---- trade.c: the fields that notices and answers share */

/* False for anything but 0 or digits without a leading zero. */
bool trade_amount(struct pn_str text, int64_t *ret_minor);

/* Fills result with a payment that has been made. NULL, or what is wrong. */
const char *trade_read(struct pn_kv_list fields, struct pn_result *result);

/* An empty result with the merchant that the fields name. NULL without memory. */
struct pn_result *trade_result(const struct wechat *wechat, struct pn_call *call, struct pn_kv_list fields);

/* ---- refunds.c */

/* The answer to a refund query for one refund_no. NULL, or what is wrong. */
const char *refunds_read_one(const struct pn_payment *payment, struct pn_kv_list fields, struct pn_result *result);

/* The answer to a refund query for all refunds of a payment: it was paid, and refunded_minor of it went back. That is stated
 * only when all refunds are listed. NULL, or what is wrong. */
const char *refunds_read_all(struct pn_kv_list fields, struct pn_result *result);

#endif
