/* The HTTPS server of tls_peer.h: libmicrohttpd with a self-signed certificate for 127.0.0.1. */
#include "config.h"

#include "unit/tls_peer.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **context)
{
    (void)url, (void)method, (void)version, (void)upload, (void)upload_size, (void)context;
    struct tls_peer *peer = arg;
    atomic_fetch_add(&peer->requests, 1);
    struct MHD_Response *response = MHD_create_response_from_buffer(3, (char[]){ "tls" }, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    if (!extension || !X509_add_ext(cert, extension, -1))
        abort();
    X509_EXTENSION_free(extension);
}

static X509 *certificate(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"paynotify test", -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(cert, NID_subject_alt_name, "IP:127.0.0.1");
    if (!X509_sign(cert, key, EVP_sha256()))
        abort();
    return cert;
}

static char *bio_text(BIO *bio)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)n);
    BIO_free(bio);
    return text;
}

void tls_peer_start(struct tls_peer *peer)
{
    memset(peer, 0, sizeof *peer);
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *cert = certificate(key);
    BIO *key_bio = BIO_new(BIO_s_mem()), *cert_bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL);
    PEM_write_bio_X509(cert_bio, cert);
    char *key_pem = bio_text(key_bio), *cert_pem = bio_text(cert_bio);

    (void)snprintf(peer->ca_file, sizeof peer->ca_file, "/tmp/paynotify-test-ca-XXXXXX");
    int fd = mkstemp(peer->ca_file);
    if (fd < 0 || write(fd, cert_pem, strlen(cert_pem)) < 0)
        abort();
    close(fd);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    peer->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_TLS, 0, NULL, NULL, on_request, peer,
                                    MHD_OPTION_HTTPS_MEM_KEY, key_pem, MHD_OPTION_HTTPS_MEM_CERT, cert_pem,
                                    MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    if (!peer->daemon)
        abort();
    peer->port = MHD_get_daemon_info(peer->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    free(key_pem);
    free(cert_pem);
    X509_free(cert);
    EVP_PKEY_free(key);
}

void tls_peer_stop(struct tls_peer *peer)
{
    MHD_stop_daemon(peer->daemon);
    unlink(peer->ca_file);
}
