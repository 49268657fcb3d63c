/*
 * Client certificates: the client presents the one that a request carries, to a server that insists, and no other request
 * travels on the connection that was made with it.
 */
#include "config.h"

#include "unit.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    char *key_pem, *certificate_pem;
};

static struct identity server_identity, merchant, stranger;
static char ca_file[64];

/* ---- keys and certificates, each signed by itself */

static char *bio_text(BIO *bio)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)n);
    BIO_free(bio);
    return text;
}

static void identity_make(struct identity *identity, const char *name)
{
    X509 *certificate = X509_new();
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509_set_version(certificate, 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    X509_EXTENSION *address = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    X509_EXTENSION *is_ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    BIO *key_bio = BIO_new(BIO_s_mem()), *certificate_bio = BIO_new(BIO_s_mem());
    if (!X509_add_ext(certificate, address, -1) || !X509_add_ext(certificate, is_ca, -1) ||
        !X509_sign(certificate, key, EVP_sha256()) || !PEM_write_bio_X509(certificate_bio, certificate) ||
        !PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL))
        abort();
    X509_EXTENSION_free(address);
    X509_EXTENSION_free(is_ca);
    *identity = (struct identity){ key, certificate, bio_text(key_bio), bio_text(certificate_bio) };
}

static void identity_free(struct identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
    free(identity->key_pem);
    free(identity->certificate_pem);
}

/* ---- a server that trusts the merchant alone, and says who came */

enum { CONNECTIONS_MAX = 8 };

struct connection {
    struct server *server;
    pthread_t thread;
    int fd;
};

struct server {
    int listener;
    uint16_t port;
    SSL_CTX *context;
    pthread_t thread;
    struct connection accepted[CONNECTIONS_MAX];
    _Atomic int connections, requests;
};

static void answer(struct server *server, SSL *tls)
{
    char request[4096], reply[256], name[64] = "nobody";
    X509 *peer = SSL_get0_peer_certificate(tls);
    if (peer)
        X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name, sizeof name);
    for (int n; (n = SSL_read(tls, request, sizeof request - 1)) > 0;) {
        request[n] = '\0';
        if (!strstr(request, "\r\n\r\n"))
            break;
        server->requests++;
        int len = snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(name), name);
        SSL_write(tls, reply, len);
    }
}

static void *serve_connection(void *arg)
{
    struct connection *connection = arg;
    SSL *tls = SSL_new(connection->server->context);
    SSL_set_fd(tls, connection->fd);
    if (SSL_accept(tls) == 1) {
        connection->server->connections++;
        answer(connection->server, tls);
    }
    SSL_free(tls);
    close(connection->fd);
    return NULL;
}

static void *serve(void *arg)
{
    struct server *server = arg;
    size_t count = 0;
    for (int fd; count < CONNECTIONS_MAX && (fd = accept(server->listener, NULL, NULL)) >= 0; count++) {
        server->accepted[count] = (struct connection){ .server = server, .fd = fd };
        if (pthread_create(&server->accepted[count].thread, NULL, serve_connection, &server->accepted[count]))
            abort();
    }
    while (count > 0)
        pthread_join(server->accepted[--count].thread, NULL);
    return NULL;
}

static void server_start(struct server *server, int verify)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    memset(server, 0, sizeof *server);
    server->context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(server->context, server_identity.certificate);
    SSL_CTX_use_PrivateKey(server->context, server_identity.key);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(server->context), merchant.certificate);
    SSL_CTX_set_verify(server->context, verify, NULL);
    SSL_CTX_set_session_cache_mode(server->context, SSL_SESS_CACHE_OFF);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server->listener, (struct sockaddr *)&address, sizeof address) || listen(server->listener, 8) ||
        getsockname(server->listener, (struct sockaddr *)&address, &size) || pthread_create(&server->thread, NULL, serve, server))
        abort();
    server->port = ntohs(address.sin_port);
}

/* The client must be gone, so that no connection is open. */
static void server_stop(struct server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    SSL_CTX_free(server->context);
}

/* ---- asking it */

struct outcome {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done;
    enum rc rc;
    char body[64];
};

static void on_done(void *arg, const struct client_response *response)
{
    struct outcome *outcome = arg;
    pthread_mutex_lock(&outcome->lock);
    outcome->rc = response->rc;
    (void)snprintf(outcome->body, sizeof outcome->body, "%.*s", (int)response->body_len, response->body ? response->body : "");
    outcome->done = true;
    pthread_cond_signal(&outcome->ended);
    pthread_mutex_unlock(&outcome->lock);
}

static struct outcome ask(struct client *client, const struct server *server, const struct identity *identity)
{
    struct outcome outcome = { .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER };
    char url[64];
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%d/", server->port);
    const char *urls[] = { url };
    struct client_request request = { .label = "test", .method = "GET", .urls = urls, .url_count = 1, .timeout_ms = 20000 };
    if (identity) {
        request.client_cert = identity->certificate_pem;
        request.client_cert_len = strlen(identity->certificate_pem);
        request.client_key = identity->key_pem;
        request.client_key_len = strlen(identity->key_pem);
    }
    client_send(client, &request, on_done, &outcome);
    pthread_mutex_lock(&outcome.lock);
    while (!outcome.done)
        pthread_cond_wait(&outcome.ended, &outcome.lock);
    pthread_mutex_unlock(&outcome.lock);
    return outcome;
}

static struct client *client_start(void)
{
    struct client *client = NULL;
    assert_int_equal(client_new(&(struct client_options){ .ca_file = ca_file }, &client, NULL), RC_OK);
    return client;
}

static void client_end(struct client *client)
{
    client_stop(client);
    client_free(client);
}

/* ---- tests */

static void the_certificate_of_a_request_is_presented(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    struct client *client = client_start();
    struct outcome outcome = ask(client, &server, &merchant);
    assert_int_equal(outcome.rc, RC_OK);
    assert_string_equal(outcome.body, "merchant");
    client_end(client);
    server_stop(&server);
}

static void without_the_right_one_nothing_is_done(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    struct client *client = client_start();
    assert_int_not_equal(ask(client, &server, NULL).rc, RC_OK);
    assert_int_not_equal(ask(client, &server, &stranger).rc, RC_OK);
    struct identity mixed = { .certificate_pem = merchant.certificate_pem, .key_pem = stranger.key_pem };
    assert_int_equal(ask(client, &server, &mixed).rc, RC_UNAVAILABLE);
    assert_int_equal(server.requests, 0);
    client_end(client);
    server_stop(&server);
}

static void a_request_without_one_gets_a_connection_of_its_own(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, SSL_VERIFY_PEER);
    struct client *client = client_start();
    assert_string_equal(ask(client, &server, &merchant).body, "merchant");
    assert_string_equal(ask(client, &server, &merchant).body, "merchant");
    assert_int_equal(server.connections, 1);
    assert_string_equal(ask(client, &server, NULL).body, "nobody");
    assert_int_equal(server.connections, 2);
    assert_string_equal(ask(client, &server, &merchant).body, "merchant");
    client_end(client);
    server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_certificate_of_a_request_is_presented),
        cmocka_unit_test(without_the_right_one_nothing_is_done),
        cmocka_unit_test(a_request_without_one_gets_a_connection_of_its_own),
    };
    identity_make(&server_identity, "server");
    identity_make(&merchant, "merchant");
    identity_make(&stranger, "stranger");
    (void)snprintf(ca_file, sizeof ca_file, "/tmp/paynotify-test-ca-XXXXXX");
    int fd = mkstemp(ca_file);
    if (fd < 0 || write(fd, server_identity.certificate_pem, strlen(server_identity.certificate_pem)) < 0)
        abort();
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(ca_file);
    identity_free(&server_identity);
    identity_free(&merchant);
    identity_free(&stranger);
    return failed;
}
