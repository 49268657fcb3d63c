/*
 * An opened WeChat Pay channel for the tests, with the key and the merchant of the test vectors.
 */
#ifndef TESTS_UNIT_WECHAT_FIXTURE_H
#define TESTS_UNIT_WECHAT_FIXTURE_H

#include "unit/plugin_host.h"
#include "unit/vectors.h"
#include "wechat/wechat.h"

#define WECHAT_APPID "wx1a2b3c4d5e6f7081"
#define WECHAT_MCH_ID "1900000001"
#define WECHAT_API_KEY "K7p2Qm9Xr4Tn8Vb1Zc6Ls3Hd5Gf0Jw2E"

struct wechat_channel {
    struct wechat_settings settings;
    struct pn_call call;
    void *state; /* struct wechat */
};

/* Settings that are right; sign_type NULL: the default. Then more of them may be set (plugin_setting) before start, which goes
 * through the descriptor alone and returns what open does. open does both and ends the process on failure. */
void wechat_channel_settings(struct wechat_channel *channel, const char *sign_type);
int wechat_channel_start(struct wechat_channel *channel);
void wechat_channel_open(struct wechat_channel *channel, const char *sign_type);
void wechat_channel_close(struct wechat_channel *channel);

/* The channel's calls, each of which forgets the one before. */
int wechat_channel_request(struct wechat_channel *channel, const struct pn_payment *payment, struct pn_step *ret_step);
int wechat_channel_response(struct wechat_channel *channel, const struct pn_payment *payment, uint32_t round, int status,
                            struct pn_str body, struct pn_step *ret_step);
int wechat_channel_notification(struct wechat_channel *channel, struct pn_str body, struct pn_notification *ret);

/* A payment as the vectors have them. */
struct pn_payment wechat_payment(enum pn_operation operation, const char *product, struct pn_str pay_no);

/* The fields as a signed XML body. The caller frees ret.data. `fields` has room for one more. */
struct pn_str wechat_signed(struct wechat_channel *channel, struct pn_kv *fields, size_t count);

/* Fails the test unless both are the same. */
void assert_str(struct pn_str got, struct pn_str want);

#endif
