/*
 * The Alipay channel's own pieces, seen by its files and its tests. The protocol: open platform v1 gateway, RSA2 keys or
 * certificates. All functions are pure on a state that is read-only after open; any thread.
 */
#ifndef PLUGINS_ALIPAY_ALIPAY_H
#define PLUGINS_ALIPAY_ALIPAY_H

#include <jansson.h>
#include <paynotify/plugin.h>
#include <stdbool.h>

#include "alipay/certificate.h"
#include "common/rsa.h"
#include "common/str.h"

struct alipay_settings {
    struct pn_str app_id, private_key, alipay_public_key, alipay_public_key_next, gateway, seller_id;
    struct pn_str app_cert, alipay_cert, alipay_cert_next, alipay_root_cert;
};

struct alipay {
    const struct pn_host *host;
    const struct alipay_settings *settings;
    struct rsa_key *own_key;        /* signs our requests */
    struct rsa_key *alipay_keys[2]; /* verify notices and answers: either will do */
    size_t alipay_key_count;
    /* Certificate mode: app_cert_sn is empty without it. */
    char app_cert_sn[CERTIFICATE_SN_SIZE];
    char *root_cert_sn; /* of each root, joined with '_' */
    char alipay_cert_sns[2][CERTIFICATE_SN_SIZE];
    size_t alipay_cert_count;
    void *gb18030;            /* kept so that conversions open no files */
    struct pn_kv merchant[2]; /* app_id, and seller_id when it is configured */
    size_t merchant_count;
};

static inline void *alipay_alloc(const struct alipay *alipay, struct pn_call *call, size_t size)
{
    return alipay->host->alloc(call, size);
}

int alipay_fail(const struct alipay *alipay, struct pn_call *call, int rc, const char *field, const char *text);
int alipay_no_memory(const struct alipay *alipay, struct pn_call *call);

/* Puts a copy that lives as long as the call's result in the place of what *text points to. */
bool alipay_keep(const struct alipay *alipay, struct pn_call *call, struct pn_str *text);

/* An empty result about `payment`. NULL without memory. */
struct pn_result *alipay_result(const struct alipay *alipay, struct pn_call *call, const struct pn_payment *payment);

/* ---- the calls of struct pn_channel, each in a file of its own */

int alipay_request(const void *state, struct pn_call *call, const struct pn_payment *payment, struct pn_step *ret_step);
int alipay_response(const void *state, struct pn_call *call, const struct pn_payment *payment, uint32_t round,
                    const struct pn_http_response *response, struct pn_step *ret_step);
int alipay_notification(const void *state, struct pn_call *call, const struct pn_http_incoming *incoming,
                        struct pn_notification *ret_notification);

/* ---- keys.c: keys and certificates, from settings. NULL, or what is wrong with the setting *ret_field. */

const char *keys_open(struct alipay *alipay, const char **ret_field);
void keys_close(struct alipay *alipay); /* also after a failed keys_open */

/* ---- params.c: parameters and the text that is signed */

/* By name, in byte order. */
void params_sort(struct pn_kv *params, size_t count);

/* k=v joined with '&', raw. PN_INTERNAL without memory. */
int params_join(const struct alipay *alipay, struct pn_call *call, const struct pn_kv *params, size_t count,
                struct pn_str *ret_text);

/* Drops empty values, sorts, and puts `sign` behind the rest: params has room for it. */
int params_sign(const struct alipay *alipay, struct pn_call *call, struct pn_kv *params, size_t *count);

/* base?name=value&… */
int params_url(const struct alipay *alipay, struct pn_call *call, struct pn_str base, const struct pn_kv *params, size_t count,
               struct pn_str *ret_url);

/* ---- verify.c */

struct signature {
    unsigned char bytes[RSA_BYTES_MAX + 2]; /* base64 decodes in threes */
    size_t len;
};

/* False unless `sign` is the base64 of a signature that has the length of one of Alipay's keys. */
bool signature_read(const struct alipay *alipay, struct pn_str sign, struct signature *ret_signature);

bool signature_holds(const struct alipay *alipay, struct pn_str text, const struct signature *signature);

/* ---- request.c */

/* The method that an operation calls: "alipay.trade.query". NULL: none. */
const char *alipay_method(const struct pn_payment *payment);

/* Signed parameters, `biz_content` among them, as a form for the payer's browser. */
int alipay_jump(const struct alipay *alipay, struct pn_call *call, struct pn_kv *params, size_t count, struct pn_str *ret_url,
                struct pn_kv_list *ret_hidden);

/* ---- subject.c: texts that Alipay takes */

/*
 * `in` without the characters that subject and body must not have: '/', '=' and '&' become their full-width twins, controls
 * a space, broken UTF-8 a '?'; at most max_chars characters. ret_text has 4 * max_chars bytes. Returns the length.
 */
size_t subject_clean(struct pn_str in, size_t max_chars, char *ret_text);

/* ---- answer.c: what the gateway answers, and whether it is its word */

enum answer_trust {
    ANSWER_SIGNED,    /* the node is Alipay's word */
    ANSWER_UNSIGNED,  /* well-formed, without a signature: proves nothing */
    ANSWER_INVALID,   /* the signature does not hold, or another certificate made it */
    ANSWER_MALFORMED /* not an answer to this method */
};

struct answer {
    enum answer_trust trust;
    const char *fault;       /* in words, unless signed */
    json_t *node;            /* what is signed, parsed from the signed bytes; set when SIGNED or UNSIGNED. The caller's */
    struct pn_str node_text; /* the bytes that are signed, or would have to be */
};

void answer_read(const struct alipay *alipay, struct pn_call *call, const char *method, struct pn_str body,
                 struct answer *ret_answer);

/* jsonraw.c: the raw text of the value of the one top-level member `name` of a JSON object. wide: the text is GB18030, where
 * the second byte of a character may look like a backslash. False when it is not there, or twice. */
bool json_raw_member(struct pn_str text, bool wide, const char *name, struct pn_str *ret_value);

/* ---- trade.c: the fields of a trade, which notices and answers share */

/* Fills result from fields (UTF-8). NULL, or what is wrong. */
const char *trade_read(struct pn_kv_list fields, struct pn_result *result);

#endif
