/*
 * One outbound request on one libcurl handle: what may be sent, how the answer is collected and bounded, and what a
 * failure means. The thing that must never be wrong here is `sent`: a request that may have reached the provider is
 * RC_UNKNOWN or RC_TIMEOUT, and only one that certainly has not is RC_UNAVAILABLE. transfer_new runs on any thread,
 * everything else on the client's.
 */
#include "config.h"

#include "client/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

enum { HEADERS_MAX = 128, HEADER_BYTES_MAX = 64 * 1024, CONNECTION_AGE_S = 30, CONNECT_SHARE_MS = 4000 };

/* ---- the request */

static bool is_token(const char *text)
{
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return text && *text && text[strspn(text, allowed)] == '\0';
}

static bool is_header_value(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 ? *text != '\t' : *text == 0x7f)
            return false;
    return true;
}

static bool header_append(struct transfer *transfer, const char *line)
{
    struct curl_slist *longer = curl_slist_append(transfer->header_lines, line);
    if (longer)
        transfer->header_lines = longer;
    return longer != NULL;
}

static const char *add_headers(struct transfer *transfer, const struct client_header *headers, size_t count)
{
    bool have_type = false;
    for (size_t i = 0; i < count; i++) {
        const char *name = headers[i].name, *value = headers[i].value ? headers[i].value : "";
        if (!is_token(name) || !is_header_value(value))
            return "a request header holds a character that may not stand there";
        have_type = have_type || strcasecmp(name, "content-type") == 0;
        /* libcurl's own notation for a header without a value is a semicolon */
        const char *line = arena_printf(transfer->arena, *value ? "%s: %s" : "%s;", name, value);
        if (!line || !header_append(transfer, line))
            return "no memory";
    }
    /* libcurl would add both of these on its own */
    if (!header_append(transfer, "Expect:") || (!have_type && !header_append(transfer, "Content-Type:")))
        return "no memory";
    return NULL;
}

/* The arena outlives libcurl's use of it, so libcurl makes no copies of the key. */
static bool copy_pem(struct transfer *transfer, const void *text, size_t len, struct curl_blob *ret_blob)
{
    if (!text || len == 0)
        return true;
    *ret_blob = (struct curl_blob){ .data = arena_dup(transfer->arena, text, len), .len = len, .flags = CURL_BLOB_NOCOPY };
    return ret_blob->data != NULL;
}

static const char *copy_request(struct transfer *transfer, const struct client_request *request)
{
    transfer->label_name = arena_strdup(transfer->arena, request->label ? request->label : "none");
    transfer->method = arena_strdup(transfer->arena, request->method ? request->method : "GET");
    transfer->body = request->body ? arena_dup(transfer->arena, request->body, request->body_len) : NULL;
    transfer->body_len = request->body ? request->body_len : 0;
    transfer->repeatable = request->repeatable != 0;
    transfer->background = request->background != 0;
    transfer->in_flight_max = request->in_flight_max;
    transfer->may_send = request->may_send;
    const char **urls = arena_alloc(transfer->arena, request->url_count * sizeof *urls);
    if (!transfer->label_name || !transfer->method || !urls || (request->body && !transfer->body) ||
        !copy_pem(transfer, request->client_cert, request->client_cert_len, &transfer->client_cert) ||
        !copy_pem(transfer, request->client_key, request->client_key_len, &transfer->client_key))
        return "no memory";
    for (size_t i = 0; i < request->url_count; i++)
        if (!(urls[i] = arena_strdup(transfer->arena, request->urls[i])))
            return "no memory";
    transfer->urls = urls;
    transfer->url_count = request->url_count;
    if (request->url_count == 0)
        return "the request has no URL";
    if (!is_token(transfer->method))
        return "the request's method is malformed";
    return add_headers(transfer, request->headers, request->header_count);
}

struct transfer *transfer_new(const struct client_request *request, size_t body_max, client_done done, void *arg)
{
    struct arena *arena = arena_new(0);
    struct transfer *transfer = arena_alloc(arena, sizeof *transfer);
    if (!transfer)
        abort(); /* the first chunk is there, so this is a fault of ours */
    transfer->arena = arena;
    transfer->done = done;
    transfer->arg = arg;
    transfer->body_max = body_max;
    transfer->started_us = mono_us();
    transfer->deadline_ms = mono_ms() + request->timeout_ms;
    transfer->start_by_ms = transfer->deadline_ms - request->timeout_ms / 2;
    transfer->label_name = "none";
    transfer->refused = copy_request(transfer, request);
    return transfer;
}

void transfer_free(struct transfer *transfer)
{
    curl_slist_free_all(transfer->header_lines);
    buf_free(&transfer->answer);
    arena_free(transfer->arena);
}

/* ---- libcurl's calls back */

/* Runs when a connection stands and the request is about to leave. libcurl sends again by itself when a reused
 * connection turns out to be dead; what must not be repeated is stopped here. */
static int on_send(void *arg, char *remote, char *local, int remote_port, int local_port)
{
    (void)remote, (void)local, (void)remote_port, (void)local_port;
    struct transfer *transfer = arg;
    if (transfer->sent && !transfer->repeatable)
        return CURL_PREREQFUNC_ABORT;
    transfer->sent = true;
    return CURL_PREREQFUNC_OK;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t n = size * count;
    if (n > transfer->body_max - transfer->answer.len) {
        transfer->cut = "the answer's body is larger than allowed";
        return 0;
    }
    buf_add(&transfer->answer, bytes, n);
    return transfer->answer.failed ? 0 : n;
}

static bool keep_header(struct transfer *transfer, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    if (!colon || colon == line)
        return true;
    const char *value = colon + 1, *end = line + n;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\t'))
        end--;
    char *name = arena_strndup(transfer->arena, line, (size_t)(colon - line));
    char *text = arena_strndup(transfer->arena, value, (size_t)(end - value));
    if (!name || !text)
        return false;
    for (char *c = name; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    transfer->headers[transfer->header_count++] = (struct client_header){ .name = name, .value = text };
    return true;
}

/* One header line. A new status line (after a 100, or on another try) starts afresh; trailers are not headers. */
static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t n = size * count;
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0 && transfer->answer.len == 0) {
        transfer->header_count = 0;
        transfer->headers_complete = false;
    }
    if (n <= 2)
        transfer->headers_complete = true;
    if (transfer->headers_complete)
        return n;
    transfer->header_bytes += n;
    if (!transfer->headers)
        transfer->headers = arena_alloc(transfer->arena, HEADERS_MAX * sizeof *transfer->headers);
    if (transfer->header_bytes > HEADER_BYTES_MAX || transfer->header_count == HEADERS_MAX) {
        transfer->cut = "the answer's headers are larger than allowed";
        return 0;
    }
    return transfer->headers && keep_header(transfer, line, n) ? n : 0;
}

/* ---- one try */

#define SET(option_, value_) (ok = ok && curl_easy_setopt(easy, option_, value_) == CURLE_OK)

static bool set_policy(struct transfer *transfer, CURL *easy, const char *ca_file)
{
    bool ok = true;
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (ca_file)
        SET(CURLOPT_CAINFO, ca_file);
    /* libcurl never uses a connection made with another certificate, or with none */
    if (transfer->client_cert.data)
        SET(CURLOPT_SSLCERT_BLOB, &transfer->client_cert);
    if (transfer->client_key.data)
        SET(CURLOPT_SSLKEY_BLOB, &transfer->client_key);
    SET(CURLOPT_PATH_AS_IS, 1L); /* what was signed is what is sent */
    /* one request per connection: a connection that hangs then takes one request with it, not all of them; and with
     * PIPEWAIT libcurl holds back every request until the first answer of a host has come */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_MAXAGE_CONN, (long)CONNECTION_AGE_S);
    SET(CURLOPT_FRESH_CONNECT, transfer->fresh ? 1L : 0L);
    SET(CURLOPT_USERAGENT, "paynotify/" PACKAGE_VERSION);
    return ok;
}

static bool set_callbacks(struct transfer *transfer, CURL *easy)
{
    bool ok = true;
    SET(CURLOPT_ERRORBUFFER, transfer->curl_text);
    SET(CURLOPT_PRIVATE, transfer);
    SET(CURLOPT_PREREQFUNCTION, on_send);
    SET(CURLOPT_PREREQDATA, transfer);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, transfer);
    return ok;
}

static bool set_request(struct transfer *transfer, CURL *easy)
{
    bool ok = true;
    SET(CURLOPT_URL, transfer->urls[transfer->url]);
    SET(CURLOPT_HTTPHEADER, transfer->header_lines);
    if (transfer->body_len > 0 || strcmp(transfer->method, "POST") == 0) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDS, transfer->body ? transfer->body : "");
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body_len);
    }
    if (strcmp(transfer->method, "HEAD") == 0)
        SET(CURLOPT_NOBODY, 1L);
    SET(CURLOPT_CUSTOMREQUEST, transfer->method);
    return ok;
}

static bool set_times(struct transfer *transfer, CURL *easy)
{
    bool ok = true;
    int64_t left = transfer->deadline_ms - mono_ms();
    left = left > 1 ? left : 1;
    /* another host is only worth having when there is time left to try it */
    bool last = transfer->url + 1 >= transfer->url_count;
    int64_t connect = last ? left : left / 2 < CONNECT_SHARE_MS ? left / 2 + 1 : CONNECT_SHARE_MS;
    SET(CURLOPT_TIMEOUT_MS, (long)left);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connect);
    return ok;
}

bool transfer_prepare(struct transfer *transfer, CURL *easy, const char *ca_file)
{
    transfer->curl_text[0] = '\0';
    buf_clear(&transfer->answer);
    transfer->header_count = transfer->header_bytes = 0;
    transfer->headers_complete = false;
    return set_policy(transfer, easy, ca_file) && set_callbacks(transfer, easy) && set_request(transfer, easy) &&
           set_times(transfer, easy);
}

/* ---- what a try came to */

static bool reused_connection(CURL *easy)
{
    long made = 1;
    return curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &made) == CURLE_OK && made == 0;
}

static bool connection_broke(CURLcode code)
{
    return code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE ||
           code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM;
}

/* Failures of the network before the request left; a malformed URL or an option refused is the same everywhere. */
static bool host_failed(CURLcode code)
{
    return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT || code == CURLE_SSL_CONNECT_ERROR ||
           code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_OPERATION_TIMEDOUT || connection_broke(code);
}

bool transfer_again(struct transfer *transfer, CURLcode code)
{
    if (code == CURLE_OK || transfer->cut || mono_ms() >= transfer->deadline_ms)
        return false;
    if (transfer->sent && !transfer->repeatable)
        return false;
    if (connection_broke(code) && !transfer->fresh && transfer->answer.len == 0 && reused_connection(transfer->easy)) {
        transfer->fresh = true;
        return true;
    }
    bool another = transfer->url + 1 < transfer->url_count;
    if (another && (transfer->sent ? connection_broke(code) : host_failed(code))) {
        transfer->url++;
        transfer->fresh = false;
        return true;
    }
    return false;
}

void transfer_result(struct transfer *transfer, CURLcode code, struct client_response *ret_response)
{
    *ret_response = (struct client_response){ .rc = RC_OK, .tried = 1 };
    if (code == CURLE_OK) {
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &ret_response->status);
        ret_response->headers = transfer->headers;
        ret_response->header_count = transfer->header_count;
        ret_response->body = buf_text(&transfer->answer);
        ret_response->body_len = transfer->answer.len;
        return;
    }
    ret_response->rc = !transfer->sent                      ? RC_UNAVAILABLE
                       : code == CURLE_OPERATION_TIMEDOUT ? RC_TIMEOUT
                                                            : RC_UNKNOWN;
    ret_response->detail = transfer->cut       ? transfer->cut
                           : *transfer->curl_text ? transfer->curl_text
                                                    : curl_easy_strerror(code);
}
