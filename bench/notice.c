/* Signed Alipay notifications in bulk: sorted parameters, RSA2 over "k=v&k=v", then percent-encoding. See notice.h. */
#include "notice.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FIELDS 22
#define TEXT_MAX 4096

struct field {
    const char *name, *value;
};

struct text {
    char data[TEXT_MAX];
    size_t length;
};

struct job {
    const struct notice_settings *settings;
    EVP_PKEY *key;
    struct notice *notices;
    size_t first, last;
    int failed;
};

static void put(struct text *text, const char *piece)
{
    size_t length = strlen(piece);
    if (text->length + length >= TEXT_MAX)
        abort(); /* the fields are ours and short */
    memcpy(text->data + text->length, piece, length + 1);
    text->length += length;
}

static void put_encoded(struct text *text, const char *value)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.*";
    char piece[4];
    for (; *value; value++) {
        if (*value == ' ')
            put(text, "+");
        else if (strchr(plain, *value))
            put(text, (char[2]){*value, 0});
        else {
            snprintf(piece, sizeof piece, "%%%02X", (unsigned)(unsigned char)*value);
            put(text, piece);
        }
    }
}

/* Base64 of the signature over `text`; 0 or -1. */
static int sign(EVP_PKEY *key, const struct text *text, char *ret_base64, size_t size)
{
    unsigned char signature[1024];
    size_t length = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int rc = -1;
    if (context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(context, signature, &length, (const unsigned char *)text->data, text->length) == 1 &&
        size > (length + 2) / 3 * 4) {
        EVP_EncodeBlock((unsigned char *)ret_base64, signature, (int)length);
        rc = 0;
    }
    EVP_MD_CTX_free(context);
    return rc;
}

static int finish(const struct notice_settings *settings, struct notice *notice, const struct text *body)
{
    char head[512];
    int length = snprintf(head, sizeof head,
                          "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
                          "User-Agent: Mozilla/4.0\r\nContent-Length: %zu\r\n\r\n",
                          settings->path, settings->host, body->length);
    if (length < 0 || (size_t)length >= sizeof head)
        return -1;
    notice->length = (size_t)length + body->length;
    notice->request = malloc(notice->length);
    if (!notice->request)
        return -1;
    memcpy(notice->request, head, (size_t)length);
    memcpy(notice->request + length, body->data, body->length);
    return 0;
}

static int make(const struct job *job, struct notice *notice, const char *now)
{
    char trade_no[64], notify_id[64], base64[1400];
    struct text text = {.length = 0}, body = {.length = 0};
    snprintf(trade_no, sizeof trade_no, "2026%.40s", notice->pay_no);
    snprintf(notify_id, sizeof notify_id, "ac05099524730693a8b330c%.40s", notice->pay_no);
    /* In byte order of the names, as the signature wants them. */
    const struct field fields[FIELDS] = {
        {"app_id", job->settings->app_id}, {"auth_app_id", job->settings->app_id}, {"buyer_id", "2088102116773037"},
        {"buyer_logon_id", "159****5620"}, {"buyer_pay_amount", notice->amount}, {"charset", "utf-8"},
        {"fund_bill_list", "[{\"amount\":\"88.80\",\"fundChannel\":\"ALIPAYACCOUNT\"}]"}, {"gmt_create", now}, {"gmt_payment", now},
        {"invoice_amount", notice->amount}, {"notify_id", notify_id}, {"notify_time", now}, {"notify_type", "trade_status_sync"},
        {"out_trade_no", notice->pay_no}, {"point_amount", "0.00"}, {"receipt_amount", notice->amount},
        {"seller_id", job->settings->seller_id}, {"subject", "Java course"}, {"total_amount", notice->amount},
        {"trade_no", trade_no}, {"trade_status", "TRADE_SUCCESS"}, {"version", "1.0"}};
    for (size_t i = 0; i < FIELDS; i++) {
        put(&text, i ? "&" : "");
        put(&text, fields[i].name);
        put(&text, "=");
        put(&text, fields[i].value);
        put(&body, fields[i].name);
        put(&body, "=");
        put_encoded(&body, fields[i].value);
        put(&body, "&");
    }
    if (sign(job->key, &text, base64, sizeof base64) != 0)
        return -1;
    put(&body, "sign_type=RSA2&sign=");
    put_encoded(&body, base64);
    return finish(job->settings, notice, &body);
}

static void *work(void *arg)
{
    struct job *job = arg;
    char now[32];
    time_t beijing = time(NULL) + 8 * 3600;
    struct tm tm;
    gmtime_r(&beijing, &tm);
    strftime(now, sizeof now, "%Y-%m-%d %H:%M:%S", &tm);
    for (size_t i = job->first; i < job->last && !job->failed; i++)
        job->failed = make(job, &job->notices[i], now);
    return NULL;
}

static EVP_PKEY *read_key(const char *path)
{
    EVP_PKEY *key = NULL;
    FILE *file = fopen(path, "r");
    if (file) {
        key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        fclose(file);
    }
    if (!key)
        fprintf(stderr, "load: %s is not a private key in PEM\n", path);
    return key;
}

int notices_sign(const struct notice_settings *settings, struct notice *notices, size_t count)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t threads = processors < 1 ? 1 : processors > 16 ? 16 : (size_t)processors;
    struct job jobs[16];
    pthread_t ids[16];
    int rc = 0;
    EVP_PKEY *key = read_key(settings->key_file);
    if (!key)
        return -1;
    for (size_t i = 0; i < threads; i++) {
        jobs[i] = (struct job){settings, key, notices, count * i / threads, count * (i + 1) / threads, 0};
        if (pthread_create(&ids[i], NULL, work, &jobs[i]) != 0)
            abort();
    }
    for (size_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        rc = jobs[i].failed ? -1 : rc;
    }
    if (rc != 0)
        fprintf(stderr, "load: signing failed\n");
    EVP_PKEY_free(key);
    return rc;
}
