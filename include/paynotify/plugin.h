/*
 * paynotify plugin contract.
 *
 * A plugin is a shared object that exports exactly one symbol, the constant `pn_plugin` (struct pn_plugin, below).
 * A channel plugin translates between paynotify and one payment provider and does no I/O at all; a sink plugin
 * delivers events. The host (paynotifyd) owns configuration, HTTP, time, randomness, storage and retries.
 *
 * This header is all that a plugin needs: it includes nothing of the server and compiles as C11 and as C++17.
 *
 * Rules that hold everywhere:
 *   Text      UTF-8. What the host passes is also NUL-terminated behind `len`, except raw HTTP bodies, which are bytes.
 *             What a plugin returns need not be. An absent text has data == NULL and len == 0.
 *   Money     int64_t in the minor unit of the currency (fen, cents). PN_NOT_STATED (-1) where a provider says nothing.
 *   Time      int64_t milliseconds since 1970-01-01T00:00:00Z. 0 where not stated.
 *   Memory    Whatever a call returns is allocated with host->alloc(call, n) and freed by the host as a whole after
 *             the host has used it. What the host passes is valid until the call returns, unless said otherwise.
 *   Limits    What a plugin returns is checked, and PN_INTERNAL takes its place when it is unsound: numbers (pay_no,
 *             refund_no, trade_no, currency, a merchant's values) over 128 bytes or not UTF-8; more than 256 fields, 16
 *             merchant values, 8 URLs or 64 headers; a URL over 8,192 bytes (a code to draw: 2,048); a body over 1 MiB (of
 *             a reply: 64 KiB); a memory over 256 KiB; a time-out over 5 minutes. Payer and code are cut at 128 bytes, a
 *             message at 1,024, a field's value at 16,384, between characters.
 *   Threads   open and close run alone. request, response, notification and reply may run at once in many threads on
 *             one opened channel, whose state is therefore read-only after open. A sink is driven by one thread.
 *   State     No writable static data; time and randomness only from the host, so that a call can be replayed.
 *   Results   Every call returns an enum pn_rc. Outputs are written only when it returns PN_OK. On failure say what is
 *             wrong, once, with host->fail.
 *   Growth    Structs with a leading `size` grow at the end, cross by pointer, and are never put in by-value arrays by
 *             the host. The creator sets `size` to its own sizeof. Structs without it are frozen.
 *
 * Compatibility: the major ABI number must be equal, the plugin's minor at most the host's. A minor version may append
 * calls and fields; anything else is a major version. While the major is 0, every minor may break.
 */
#ifndef PAYNOTIFY_PLUGIN_H
#define PAYNOTIFY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PN_PLUGIN_MAGIC 0x706e504cU /* "pnPL" */
#define PN_ABI_MAJOR 0
#define PN_ABI_MINOR 2
#define PN_NOT_STATED (-1)

/* What a call came to. Negative values are failures; the order of the list means nothing. */
enum pn_rc {
    PN_OK = 0,
    PN_BAD_INPUT = -1,     /* what came from outside is malformed */
    PN_BAD_CONFIG = -2,    /* a setting is wrong; host->fail names it */
    PN_NOT_AUTHENTIC = -3, /* well-formed, but the signature does not hold */
    PN_DECLINED = -4,      /* the provider answered, authentically, that it will not do this */
    PN_NOT_DONE = -5,      /* certainly nothing happened: may be repeated */
    PN_UNKNOWN = -6,       /* sent, and no answer to believe: ask, never repeat blindly */
    PN_UNSUPPORTED = -7,   /* this plugin has no such operation */
    PN_INTERNAL = -8       /* a fault of the plugin or of a library, such as lack of memory */
};

enum pn_kind { PN_KIND_CHANNEL = 1, PN_KIND_SINK = 2 };

enum pn_log_level { PN_LOG_ERROR = 0, PN_LOG_WARN = 1, PN_LOG_NOTICE = 2, PN_LOG_INFO = 3, PN_LOG_DEBUG = 4 };

/* A text or some bytes. Frozen. */
struct pn_str {
    const char *data;
    size_t len;
};

/* A named value: a header, a form field, a provider's field. Frozen. */
struct pn_kv {
    struct pn_str name;
    struct pn_str value;
};

struct pn_list {
    const struct pn_str *items;
    size_t count;
};

struct pn_kv_list {
    const struct pn_kv *items;
    size_t count;
};

/* ---------------------------------------------------------------------------------------------- what the host offers */

struct pn_call; /* opaque: one call into the plugin, with its arena, its clock and its randomness */

struct pn_host {
    uint32_t size;
    uint16_t abi_major, abi_minor;

    /* `size` zeroed bytes, aligned for any object, that live as long as the call's result. Settings and state outlive
     * calls: a plugin allocates its state itself. NULL when the call's memory limit is reached. */
    void *(*alloc)(struct pn_call *call, size_t size);

    /* Ends a call that failed: records `text` (one line, no secret) for the log and the caller, and returns `rc`, so
     * that `return host->fail(call, PN_BAD_INPUT, NULL, "…")` reads well. `field` names the setting or input field at
     * fault, or is NULL. The text is copied. */
    int (*fail)(struct pn_call *call, int rc, const char *field, const char *text);

    /* One line for the server's log, under the name of the plugin's instance. Never a secret. `call` may be NULL in a
     * sink between calls. Any thread. */
    void (*log)(const struct pn_host *host, struct pn_call *call, int level, const char *text);

    /* The time of this call, UTC. The same within one call. Like alloc, fail and random only with the `call` that was
     * passed in, on its thread. */
    int64_t (*now_ms)(struct pn_call *call);

    /* Unpredictable bytes, fit for keys and nonces. Never fails. */
    void (*random)(struct pn_call *call, void *ret_bytes, size_t count);

    /* Sinks: ends the delivery `ticket` (see struct pn_sink) with an enum pn_outcome. Only from inside a call of that sink,
     * on its thread. `reason`: one line for the log and the history, no secret; copied; NULL with PN_DELIVERED. */
    void (*settle)(const struct pn_host *host, uint64_t ticket, int outcome, const char *reason);

    void *owner; /* the host's */
};

/* ------------------------------------------------------------------------------------------------------- settings */

/*
 * The host parses the plugin's section of paynotify.conf by this table and writes the values at `offset` into a zeroed
 * settings struct of the plugin, which it passes to open and keeps until close has returned. The struct consists of the
 * types named here and nothing else; the host checks offsets, alignment and overlaps before it loads anything.
 *
 *   type             in the settings struct   written in paynotify.conf
 *   PN_OPT_STRING    struct pn_str            text
 *   PN_OPT_INTEGER   int64_t                  -12, 4096; `min` and `max` bound it when max > min
 *   PN_OPT_BOOLEAN   int64_t (0 or 1)         true, false, yes, no, on, off
 *   PN_OPT_DURATION  int64_t (ms)             250ms, 30s, 5m, 2h, 1d; min and max in ms
 *   PN_OPT_URL       struct pn_str            absolute; `choices` lists the schemes allowed, such as "http|https"
 *   PN_OPT_ENUM      struct pn_str            one of `choices`, separated by '|'
 *   PN_OPT_LIST      struct pn_list           a, b, c
 *   PN_OPT_BYTES     struct pn_str            the content of a file, as it is
 *
 * Every text option `x` may also be given as `x_file = path` (relative to the configuration file; a final line break is
 * dropped, except for PN_OPT_BYTES) or as `x = ${NAME}` from the environment. PN_OPT_SECRET: the value is never shown,
 * and its file must not be readable by others. A PN_OPT_BYTES option with PN_OPT_SECRET cannot stand in paynotify.conf
 * itself, only in a file or the environment.
 */
enum pn_option_type {
    PN_OPT_STRING = 1,
    PN_OPT_INTEGER = 2,
    PN_OPT_BOOLEAN = 3,
    PN_OPT_DURATION = 4,
    PN_OPT_URL = 5,
    PN_OPT_ENUM = 6,
    PN_OPT_LIST = 7,
    PN_OPT_BYTES = 8
};

enum pn_option_flags { PN_OPT_REQUIRED = 1, PN_OPT_SECRET = 2 };

struct pn_option {
    const char *name;
    uint32_t type;  /* enum pn_option_type */
    uint32_t flags; /* enum pn_option_flags */
    size_t offset;
    const char *default_text; /* as it would be written in paynotify.conf; NULL: zero or absent */
    const char *choices;
    int64_t min, max;
    const char *help; /* one line, what an admin wants to know */
};

/* ------------------------------------------------------------------------------------------------------- channels */

enum pn_operation {
    PN_PREPAY = 1,       /* make the payment ready for the payer; may be called again for the same pay_no */
    PN_QUERY = 2,        /* what does the provider know about this payment? */
    PN_CLOSE = 3,        /* nobody may pay this any more */
    PN_REFUND = 4,       /* give refund_minor back under refund_no; safe to repeat with the same refund_no */
    PN_REFUND_QUERY = 5, /* what became of refund_no? */
    PN_REFRESH = 6       /* fetch the channel's memory anew */
};

/* What the host knows about a payment when it asks for something. Host to plugin. */
struct pn_payment {
    uint32_t size;
    uint32_t operation;      /* enum pn_operation */
    struct pn_str pay_no;    /* digits; the provider's out_trade_no */
    struct pn_str product;   /* a name of the channel's product table */
    struct pn_str name;      /* of the order, any character; the plugin replaces what its provider dislikes */
    struct pn_str description;
    struct pn_str currency;  /* ISO 4217 */
    int64_t amount_minor;
    struct pn_str trade_no;  /* the provider's number, once known */
    struct pn_str notify_url;
    struct pn_str return_url;
    int64_t created_at_ms;
    int64_t expires_at_ms;
    struct pn_kv_list params; /* what the product asks of the payer: openid, client_ip */
    struct pn_str refund_no;
    struct pn_str refund_reason;
    int64_t refund_minor;     /* of this refund */
    int64_t refunded_minor;   /* succeeded before */
    struct pn_str memory;     /* the channel's memory: what REFRESH returned last; absent before the first */
};

enum pn_http_flags {
    PN_HTTP_REPEATABLE = 1 /* sending it twice does no harm: the host may try the next URL after a broken connection */
};

/* A request for the host to send. Plugin to host. TLS is verified always; redirects are not followed. */
struct pn_http_request {
    uint32_t size;
    uint32_t flags;      /* enum pn_http_flags */
    struct pn_str method;
    struct pn_list urls; /* the first is tried first; the others after a failure to connect */
    struct pn_kv_list headers;
    struct pn_str body;
    int64_t timeout_ms; /* over everything; 0: the host's default */
    struct pn_str client_certificate, client_key; /* PEM, to present over TLS; both or neither */
};

/* Host to plugin. The provider's answer, complete. The host turns time-outs and broken connections into PN_UNKNOWN or
 * PN_NOT_DONE by itself; a plugin only sees answers. */
struct pn_http_response {
    uint32_t size;
    int32_t status;
    struct pn_kv_list headers; /* names in lower case */
    struct pn_str body;        /* at most 1 MiB */
};

/* What came in on /notify/<channel> (POST), or with a payer's browser on /return/<channel> (GET). Host to plugin. */
struct pn_http_incoming {
    uint32_t size;
    struct pn_str method;
    struct pn_str query;       /* raw, without the '?' */
    struct pn_kv_list headers; /* names in lower case */
    struct pn_str body;        /* raw bytes, at most 64 KiB */
};

/* What a provider says about a payment or a refund. */
enum pn_state {
    PN_STATE_UNKNOWN = 0,   /* it could not be learned */
    PN_STATE_UNPAID = 1,
    PN_STATE_PAID = 2,      /* total_minor arrived; refunded_minor of it went back, when stated */
    PN_STATE_CLOSED = 3,    /* will never be paid */
    PN_STATE_REFUNDED = 4,  /* all or part went back: refunded_minor is the total so far; refund_no when stated */
    PN_STATE_FAILED = 5,    /* this attempt or this refund failed for certain */
    PN_STATE_NOT_FOUND = 6, /* the provider has never heard of it */
    PN_STATE_PROCESSING = 7 /* the provider has accepted this refund and not finished it: ask later */
};

enum pn_prepay_kind {
    PN_PREPAY_NONE = 0,
    PN_PREPAY_FORM = 1,      /* url and fields: the host writes an escaped page that submits itself by POST */
    PN_PREPAY_REDIRECT = 2,  /* url: send the payer there, http or https; shown for 4 minutes, then PREPAY is called again */
    PN_PREPAY_CODE_URL = 3,  /* url: draw it as a QR code; shown for 110 minutes */
    PN_PREPAY_APP_PARAMS = 4 /* fields: hand them to the caller's app or page */
};

/* Plugin to host. Zero the struct, set size, fill in what is stated. */
struct pn_result {
    uint32_t size;
    uint32_t state;            /* enum pn_state */
    struct pn_str pay_no;      /* as the provider says it; the host compares it with the books */
    struct pn_str refund_no;
    struct pn_str currency;    /* absent: not stated */
    int64_t total_minor;       /* of the trade; PN_NOT_STATED */
    int64_t refunded_minor;    /* total so far; PN_NOT_STATED */
    struct pn_str trade_no;     /* the provider's own number of the payment */
    int64_t paid_at_ms;         /* by the provider's clock */
    struct pn_kv_list merchant; /* to whom it was addressed, such as app_id and seller_id. The host keeps what PREPAY
                                   says and compares by name: a name that one side does not state is no mismatch */
    struct pn_str payer;        /* the provider's name for who paid, such as buyer_id or openid */
    struct pn_kv_list fields;   /* the provider's fields, for the event and the audit; no secrets, no signature */
    struct pn_str code;         /* the provider's code and words when it refused or is unsure; for logs and callers */
    struct pn_str message;
    uint32_t prepay_kind;       /* enum pn_prepay_kind; PREPAY only, from here on */
    uint32_t reserved;
    struct pn_str url;
    struct pn_kv_list prepay_fields;
    struct pn_str memory;       /* REFRESH: the new memory */
    int64_t memory_until_ms;    /* REFRESH: when to refresh again; 0 never */
};

/* What request and response come to: exactly one of the two is set. Host allocates, plugin fills. */
struct pn_step {
    uint32_t size;
    uint32_t reserved;
    const struct pn_http_request *next; /* send this, then call response */
    const struct pn_result *done;
};

enum pn_verdict {
    PN_AUTHENTIC = 1, /* `result` is the provider's own word */
    PN_HINT = 2,      /* not provable, but `pay_no` (and `refund_no`) is worth asking the provider about */
    PN_REFUSED = 3    /* `reason` says why; nothing changes */
};

struct pn_notification {
    uint32_t size;
    uint32_t verdict; /* enum pn_verdict */
    const struct pn_result *result;
    struct pn_str pay_no;
    struct pn_str reason;    /* one line, no secret */
    struct pn_str refund_no; /* PN_HINT: the refund to ask about, when it is about one */
};

struct pn_reply {
    uint32_t size;
    int32_t status;
    struct pn_str content_type;
    struct pn_str body;
};

/* One way to pay. Lives as long as the plugin. */
struct pn_product {
    uint32_t size;
    uint32_t prepay_kind;      /* enum pn_prepay_kind: what PREPAY comes to */
    const char *name;          /* as in the API: lower case, digits, '_' */
    const char *label_zh, *label_en;
    const char *params;        /* what the payer's side must supply, separated by '|': "openid|client_ip"; NULL: nothing */
    const char *currencies;    /* separated by '|' */
};

struct pn_channel {
    uint32_t size;
    uint32_t reserved;
    const struct pn_product *const *products; /* ends with NULL */

    /* Parses keys and checks settings, once. `*ret_state` is the plugin's, given back to close. After a failure the
     * plugin has cleaned up and close is not called. PN_BAD_CONFIG with the option's name in `field` is the usual
     * failure. */
    int (*open)(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state);
    void (*close)(void *state);

    /* Begins payment->operation: an HTTP request for the host to send, or the finished result. PN_UNSUPPORTED for an
     * operation or product that the plugin does not have; PN_BAD_INPUT, with the field, for a payment that the provider
     * cannot take. After a failure nothing has been sent. */
    int (*request)(const void *state, struct pn_call *call, const struct pn_payment *payment, struct pn_step *ret_step);

    /* Goes on after an answer of any HTTP status; `round` counts from 1, and the host gives up after 4. PN_UNKNOWN when the answer cannot
     * be believed; PN_DECLINED when an authentic answer refuses, with host->fail naming the provider's code;
     * PN_NOT_DONE when it says that nothing happened. NULL: no request of this channel needs an answer. */
    int (*response)(const void *state, struct pn_call *call, const struct pn_payment *payment, uint32_t round,
                    const struct pn_http_response *response, struct pn_step *ret_step);

    /* Judges what a provider sent. PN_OK whatever the verdict; a failure only for a fault of the plugin's own. What came
     * with a browser (method GET) is at most a PN_HINT: the host asks the provider then, whatever it says. */
    int (*notification)(const void *state, struct pn_call *call, const struct pn_http_incoming *incoming,
                        struct pn_notification *ret_notification);

    /* The exact reply that the provider expects: accepted is 1 when it must not send again, 0 when it should.
     * `incoming` is what notification saw. Must not fail for lack of anything but memory;
     * the host then answers 500. */
    int (*reply)(const void *state, struct pn_call *call, const struct pn_http_incoming *incoming, int accepted,
                 struct pn_reply *ret_reply);
};

/* ---------------------------------------------------------------------------------------------------------- sinks */

/* A finished event to deliver: the host has chosen the format. Valid until its ticket is settled. */
struct pn_event {
    uint32_t size;
    uint32_t attempt;          /* 1 the first time */
    struct pn_str id;          /* decimal; the same in every attempt and replay */
    struct pn_str type;        /* payment.succeeded */
    struct pn_str app;
    struct pn_str order_id;
    struct pn_str out_business_id;
    struct pn_str order_type;
    struct pn_str pay_no;
    struct pn_str channel;
    int64_t created_at_ms;          /* of the event, not of this attempt */
    struct pn_str content_type;     /* of the body, such as application/json */
    struct pn_str content_encoding; /* such as UTF-8; absent: none */
    struct pn_str body;             /* to be delivered as it is */
};

enum pn_outcome {
    PN_DELIVERED = 1,
    PN_RETRY = 2,       /* this message, later; counts as an attempt */
    PN_REJECTED = 3,    /* never will: dead letter */
    PN_UNAVAILABLE = 4  /* the sink is down: the message goes back untouched and no attempt is counted */
};

enum pn_submit { PN_SUBMITTED = 0, PN_WINDOW_FULL = 1, PN_SINK_DOWN = 2 };

/*
 * A sink's life: open; then connect until it succeeds (the host backs off between tries); then submit and pump by
 * turns; when one of them says PN_SINK_DOWN, every ticket in flight has been settled PN_UNAVAILABLE before it returns,
 * and the host goes back to connect. A ticket that was submitted is settled exactly once, by host->settle from inside
 * submit, pump or close. All calls come on one thread, except interrupt.
 */
struct pn_sink {
    uint32_t size;
    uint32_t reserved;

    /* As a channel's, and without I/O: a sink may also be opened and closed only to check its settings. */
    int (*open)(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state);
    void (*close)(void *state); /* settles what is in flight as PN_UNAVAILABLE; at most a second */

    /* Reaches the other side, or fails within timeout_ms with PN_NOT_DONE (and host->fail). Sinks without connections
     * return PN_OK. */
    int (*connect)(void *state, struct pn_call *call, int64_t timeout_ms);

    /* Begins a delivery; never blocks for longer than a full socket buffer takes to notice. Returns an enum pn_submit:
     * the event is taken only with PN_SUBMITTED. */
    int (*submit)(void *state, const struct pn_event *event, uint64_t ticket);

    /* Moves sockets and settles what can be settled; waits at most timeout_ms for something to do, and returns at once
     * when wake_fd becomes readable (the host reads it empty). Returns PN_SUBMITTED or PN_SINK_DOWN. */
    int (*pump)(void *state, int64_t timeout_ms, int wake_fd);

    /* From any thread, while another is inside a call that does not come back: makes that call return soon, for
     * example by shutting down its socket. NULL: no call of this sink can hang. */
    void (*interrupt)(void *state);
};

/* ----------------------------------------------------------------------------------------------------- descriptor */

/*
 * The one exported symbol. The fields up to and including `version` are frozen for ever: the host reads them first and
 * trusts nothing else before they fit. Then it copies desc_size bytes into its own zeroed struct, so a call that an
 * older plugin does not have is NULL, which means "not supported".
 */
struct pn_plugin {
    uint32_t magic; /* PN_PLUGIN_MAGIC */
    uint16_t abi_major, abi_minor;
    uint32_t kind;          /* enum pn_kind */
    uint32_t desc_size;     /* sizeof(struct pn_plugin) */
    uint32_t option_size;   /* sizeof(struct pn_option) */
    uint32_t settings_size; /* of the plugin's settings struct */
    const char *name;       /* as in `plugin = …` */
    const char *version;

    const char *summary; /* one line */
    const struct pn_option *options;
    uint32_t option_count;
    uint32_t reserved;
    const struct pn_channel *channel; /* for PN_KIND_CHANNEL */
    const struct pn_sink *sink;       /* for PN_KIND_SINK */
};

#if defined(__GNUC__)
#define PN_EXPORT __attribute__((visibility("default")))
#else
#define PN_EXPORT
#endif

extern PN_EXPORT const struct pn_plugin pn_plugin;

/* The head of a descriptor, filled in: struct pn_plugin pn_plugin = { PN_PLUGIN_HEAD(kind, settings type, name, version), … } */
#define PN_PLUGIN_HEAD(kind_, settings_, name_, version_)                                                          \
    PN_PLUGIN_MAGIC, PN_ABI_MAJOR, PN_ABI_MINOR, (kind_), (uint32_t) sizeof(struct pn_plugin),                     \
        (uint32_t) sizeof(struct pn_option), (uint32_t) sizeof(settings_), (name_), (version_)

#ifdef __cplusplus
}
#endif

#endif
