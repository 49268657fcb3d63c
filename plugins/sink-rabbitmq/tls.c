/*
 * TLS contexts and sessions for stream.c. The context is made at open; sessions live on the sink's thread.
 */
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct tls {
    SSL_CTX *context;
    BIO_METHOD *bio_method;
};

/* OpenSSL's own socket BIO writes without MSG_NOSIGNAL: a broker that went away would end the process. */
static int bio_write(BIO *bio, const char *data, int length)
{
    int fd = (int) (intptr_t) BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = send(fd, data, (size_t) length, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int) n;
}

static int bio_read(BIO *bio, char *ret_data, int length)
{
    int fd = (int) (intptr_t) BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = recv(fd, ret_data, (size_t) length, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    return (int) n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void) bio, (void) number, (void) pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *make_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "paynotify socket");
    if (method) {
        BIO_meth_set_write(method, bio_write);
        BIO_meth_set_read(method, bio_read);
        BIO_meth_set_ctrl(method, bio_ctrl);
    }
    return method;
}

static BIO *reader_of(struct pn_str pem)
{
    return pem.len <= INT_MAX ? BIO_new_mem_buf(pem.data, (int) pem.len) : NULL;
}

static int no_passphrase(char *ret_text, int size, int writing, void *context)
{
    (void) ret_text, (void) size, (void) writing, (void) context;
    return -1; /* never ask on the terminal */
}

static int load_ca(SSL_CTX *context, struct pn_str pem, struct fault *fault)
{
    int count = 0;
    BIO *bio;
    X509 *certificate;
    if (pem.len == 0) {
        SSL_CTX_set_default_verify_paths(context);
        return 0;
    }
    bio = reader_of(pem);
    while (bio && (certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        count += X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate);
        X509_free(certificate);
    }
    BIO_free(bio);
    ERR_clear_error(); /* the end of the file is reported as an error */
    return count > 0 ? 0 : fault_set(fault, "ca", "no certificate in it (PEM is expected)");
}

static int load_chain(SSL_CTX *context, struct pn_str pem, struct fault *fault)
{
    int result = -1;
    BIO *bio = reader_of(pem);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
    if (!certificate || SSL_CTX_use_certificate(context, certificate) != 1) {
        fault_set(fault, "client_cert", "no usable certificate in it (PEM is expected)");
        goto out;
    }
    for (X509 *next; (next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL;)
        if (SSL_CTX_add0_chain_cert(context, next) != 1)
            X509_free(next);
    result = 0;
out:
    X509_free(certificate);
    BIO_free(bio);
    ERR_clear_error();
    return result;
}

static int load_key(SSL_CTX *context, struct pn_str pem, struct fault *fault)
{
    BIO *bio = reader_of(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    int result = 0;
    if (!key)
        result = fault_set(fault, "client_key", "no private key without passphrase in it (PEM is expected)");
    else if (SSL_CTX_use_PrivateKey(context, key) != 1)
        result = fault_set(fault, "client_key", "it does not belong to client_cert");
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return result;
}

static int load_client(SSL_CTX *context, const struct settings *settings, struct fault *fault)
{
    if (settings->client_cert.len == 0 && settings->client_key.len == 0)
        return 0;
    if (settings->client_cert.len == 0)
        return fault_set(fault, "client_cert", "client_key is given, so this must be too");
    if (settings->client_key.len == 0)
        return fault_set(fault, "client_key", "client_cert is given, so this must be too");
    if (load_chain(context, settings->client_cert, fault))
        return -1;
    return load_key(context, settings->client_key, fault);
}

struct tls *tls_new(const struct settings *settings, struct fault *fault)
{
    struct tls *tls = calloc(1, sizeof *tls);
    if (!tls || !(tls->bio_method = make_bio_method()) || !(tls->context = SSL_CTX_new(TLS_client_method()))) {
        fault_set(fault, NULL, "no memory for TLS");
        goto failed;
    }
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (load_ca(tls->context, settings->ca, fault) || load_client(tls->context, settings, fault))
        goto failed;
    return tls;
failed:
    tls_free(tls);
    return NULL;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->bio_method);
    free(tls);
}

/* A name is verified as a name and sent as SNI; an address is verified as an address. */
static bool expect_host(SSL *session, const char *host)
{
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host) == 1;
    SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(session, host) == 1 && SSL_set_tlsext_host_name(session, host) == 1;
}

SSL *tls_session(const struct tls *tls, int fd, const char *host)
{
    SSL *session = SSL_new(tls->context);
    BIO *bio = BIO_new(tls->bio_method);
    if (!session || !bio || !expect_host(session, host)) {
        BIO_free(bio);
        SSL_free(session);
        return NULL;
    }
    BIO_set_data(bio, (void *) (intptr_t) fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(session, bio, bio);
    SSL_set_connect_state(session);
    return session;
}

void tls_reason(SSL *session, char *ret_text, size_t size)
{
    long verified = SSL_get_verify_result(session);
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    if (verified != X509_V_OK)
        snprintf(ret_text, size, "its certificate is not accepted: %s", X509_verify_cert_error_string(verified));
    else
        snprintf(ret_text, size, "TLS: %s", reason ? reason : "connection closed");
    ERR_clear_error();
}
