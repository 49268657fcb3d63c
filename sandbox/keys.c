/*
 * Test keys on disk, signing and verifying; see keys.h. keys_open runs in main before any thread; signing and verifying
 * share the key objects, which OpenSSL allows, and make a context of their own per call.
 */
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

#define KEY_BITS 2048

struct keys {
    EVP_PKEY *provider; /* private */
    EVP_PKEY *app;      /* public */
    EVP_PKEY *stranger; /* private; made when first asked for, under `lock` */
    pthread_mutex_t lock;
};

enum shape { PRIVATE_PEM, PRIVATE_BASE64, PUBLIC_PEM, PUBLIC_BASE64 };

/* A key as text; the caller frees. */
static char *key_text(EVP_PKEY *key, enum shape shape)
{
    unsigned char *der = NULL;
    int n = 0;
    if (shape == PUBLIC_PEM || shape == PUBLIC_BASE64) {
        n = i2d_PUBKEY(key, &der);
    } else {
        PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
        n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
        PKCS8_PRIV_KEY_INFO_free(info);
    }
    need(n > 0 ? der : NULL);

    char *text = NULL;
    if (shape == PRIVATE_BASE64 || shape == PUBLIC_BASE64) {
        text = need(malloc((size_t)n / 3 * 4 + 8));
        EVP_EncodeBlock((unsigned char *)text, der, n);
    } else {
        BIO *out = need(BIO_new(BIO_s_mem()));
        PEM_write_bio(out, shape == PUBLIC_PEM ? PEM_STRING_PUBLIC : PEM_STRING_PKCS8INF, "", der, n);
        char *bytes;
        long length = BIO_get_mem_data(out, &bytes);
        text = need(strndup(bytes, (size_t)length));
        BIO_free(out);
    }
    OPENSSL_clear_free(der, (size_t)n);
    return text;
}

static int open_in(const char *dir, const char *name, int flags, mode_t mode)
{
    char *path = text_format("%s/%s", dir, name);
    int fd = open(path, flags | O_CLOEXEC, mode);
    int saved = errno;
    free(path);
    errno = saved;
    return fd;
}

/* Writes a file that is not there yet. False: errno says why. */
static bool write_key(const char *dir, const char *name, EVP_PKEY *key, enum shape shape)
{
    mode_t mode = shape == PRIVATE_PEM || shape == PRIVATE_BASE64 ? 0600 : 0644;
    int fd = open_in(dir, name, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd < 0)
        return errno == EEXIST;
    char *text = key_text(key, shape);
    size_t length = strlen(text);
    bool done = write(fd, text, length) == (ssize_t)length;
    if (close(fd) != 0)
        done = false;
    OPENSSL_clear_free(text, length);
    return done;
}

/* NULL with *ret_absent: there is no such file; NULL without: it holds no usable key. */
static EVP_PKEY *read_key(const char *dir, const char *name, bool is_private, bool *ret_absent)
{
    int fd = open_in(dir, name, O_RDONLY, 0);
    *ret_absent = fd < 0 && errno == ENOENT;
    FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
    if (!in)
        return NULL;
    EVP_PKEY *key = is_private ? PEM_read_PrivateKey(in, NULL, NULL, NULL) : PEM_read_PUBKEY(in, NULL, NULL, NULL);
    fclose(in);
    if (key && (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key) < KEY_BITS)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

/* The private key of that name, made now when there is none. */
static EVP_PKEY *read_or_make(const char *dir, const char *name, char **ret_error)
{
    bool absent;
    EVP_PKEY *key = read_key(dir, name, true, &absent);
    if (key)
        return key;
    if (!absent) {
        *ret_error = text_format("%s/%s holds no readable RSA private key of %d bits or more", dir, name, KEY_BITS);
        return NULL;
    }
    key = need(EVP_RSA_gen(KEY_BITS));
    if (write_key(dir, name, key, PRIVATE_PEM))
        return key;
    *ret_error = text_format("%s/%s cannot be written: %s", dir, name, strerror(errno));
    EVP_PKEY_free(key);
    return NULL;
}

static bool open_provider(struct keys *keys, const char *dir, char **ret_error)
{
    keys->provider = read_or_make(dir, "alipay-private.pem", ret_error);
    if (!keys->provider)
        return false;
    if (write_key(dir, "alipay-public.pem", keys->provider, PUBLIC_PEM) &&
        write_key(dir, "alipay-public.txt", keys->provider, PUBLIC_BASE64))
        return true;
    *ret_error = text_format("%s: the provider's public key cannot be written: %s", dir, strerror(errno));
    return false;
}

static bool open_app(struct keys *keys, const char *dir, char **ret_error)
{
    bool absent;
    keys->app = read_key(dir, "app-public.pem", false, &absent);
    if (keys->app)
        return true;
    if (!absent) {
        *ret_error = text_format("%s/app-public.pem holds no readable RSA public key of %d bits or more", dir, KEY_BITS);
        return false;
    }
    EVP_PKEY *app = read_or_make(dir, "app-private.pem", ret_error);
    if (!app)
        return false;
    bool done = write_key(dir, "app-private.txt", app, PRIVATE_BASE64) && write_key(dir, "app-public.pem", app, PUBLIC_PEM);
    EVP_PKEY_free(app);
    if (done)
        keys->app = read_key(dir, "app-public.pem", false, &absent);
    if (keys->app)
        return true;
    *ret_error = text_format("%s: the application's keys cannot be written: %s", dir, strerror(errno));
    return false;
}

struct keys *keys_open(const char *dir, char **ret_error)
{
    struct keys *keys = need(calloc(1, sizeof *keys));
    char *error = NULL;
    pthread_mutex_init(&keys->lock, NULL);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        error = text_format("%s cannot be made: %s", dir, strerror(errno));
    else if (open_provider(keys, dir, &error) && open_app(keys, dir, &error))
        return keys;
    *ret_error = error;
    keys_free(keys);
    return NULL;
}

void keys_free(struct keys *keys)
{
    if (!keys)
        return;
    EVP_PKEY_free(keys->provider);
    EVP_PKEY_free(keys->app);
    EVP_PKEY_free(keys->stranger);
    pthread_mutex_destroy(&keys->lock);
    free(keys);
}

EVP_PKEY *keys_provider(const struct keys *keys)
{
    return keys->provider;
}

EVP_PKEY *keys_app(const struct keys *keys)
{
    return keys->app;
}

static EVP_PKEY *stranger(struct keys *keys)
{
    pthread_mutex_lock(&keys->lock);
    if (!keys->stranger)
        keys->stranger = need(EVP_RSA_gen(KEY_BITS));
    pthread_mutex_unlock(&keys->lock);
    return keys->stranger;
}

char *keys_sign(struct keys *keys, enum signer signer, const char *text, size_t n)
{
    unsigned char signature[1024];
    size_t length = sizeof signature;
    EVP_PKEY *key = signer == SIGN_PROVIDER ? keys->provider : stranger(keys);
    EVP_MD_CTX *context = need(EVP_MD_CTX_new());
    bool done = EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestSign(context, signature, &length, (const unsigned char *)text, n) == 1;
    EVP_MD_CTX_free(context);
    need(done ? signature : NULL);
    char *base64 = need(malloc(length / 3 * 4 + 8));
    EVP_EncodeBlock((unsigned char *)base64, signature, (int)length);
    return base64;
}

/* EVP_DecodeBlock skips blanks and takes '=' anywhere: what does not come back the same was not one line of base64. */
static bool decode_base64(const char *text, unsigned char *ret_bytes, size_t room, size_t *ret_length)
{
    size_t n = strlen(text);
    if (n == 0 || n % 4 != 0 || n / 4 * 3 > room)
        return false;
    int decoded = EVP_DecodeBlock(ret_bytes, (const unsigned char *)text, (int)n);
    if (decoded < 0)
        return false;
    size_t length = (size_t)decoded - (text[n - 1] == '=') - (text[n - 2] == '=');
    char *again = need(malloc(n + 8));
    EVP_EncodeBlock((unsigned char *)again, ret_bytes, (int)length);
    bool same = strcmp(again, text) == 0;
    free(again);
    *ret_length = length;
    return same;
}

bool keys_verify_app(const struct keys *keys, const char *text, size_t n, const char *signature)
{
    unsigned char bytes[1024];
    size_t length;
    if (!decode_base64(signature, bytes, sizeof bytes, &length) || length != (size_t)EVP_PKEY_get_size(keys->app))
        return false;
    EVP_MD_CTX *context = need(EVP_MD_CTX_new());
    bool good = EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, keys->app) == 1 &&
                EVP_DigestVerify(context, bytes, length, (const unsigned char *)text, n) == 1;
    EVP_MD_CTX_free(context);
    return good;
}
