/*
 * What every part of the sandbox is handed: one struct, made by main, read-only while threads run; what its members point
 * to keeps its own lock.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

struct alipay_settings;
struct certificates;
struct faults;
struct keys;
struct notifier;
struct server;
struct trades;
struct wechat;

struct sandbox {
    const char *app_id;
    const char *seller_id;
    struct keys *keys;
    struct alipay_settings *alipay;
    struct certificates *certificates; /* NULL: Alipay knows the application by its public key */
    struct trades *trades; /* Alipay's */
    struct wechat *wechat;
    struct faults *faults;
    struct notifier *notifier;
    struct server *server;
};

#endif
