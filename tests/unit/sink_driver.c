/*
 * Drives one sink plugin by hand: loads the shared object, fills its settings from the command line and does what it
 * reads from standard input, a command per line. Started by tests/integration/test_sink_rabbitmq.py; a minimal host of
 * its own, so that a plugin is tested against the contract and not against the server.
 *
 *     sink_driver PLUGIN.so name=value …      bytes options: name=@file; durations in ms
 *
 *     connect MS          submit N       submits N new events, pumping when the window is full
 *     again               submits every event that is not delivered once more
 *     offer N             submits without pumping until N are taken, or the window is full, or the sink is down
 *     pump MS             once          settle MS     pumps until nothing is in flight
 *     wake / unwake       makes the wake_fd readable, and empties it
 *     interrupt MS        calls interrupt after that time, from another thread
 *     event NAME=VALUE    of the events to come: app, type, order_type, pay_no, channel, body, …
 *     pad N               bodies of the events to come have N bytes
 *     outcomes            each reason once, then counts     close     usage
 */
#include <dlfcn.h>
#include <paynotify/plugin.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MAX_EVENTS = 400000, MAX_REASONS = 20, IN_FLIGHT = 100 };

struct item {
    struct pn_event event;
    char id[24];
    int outcome; /* enum pn_outcome, IN_FLIGHT, or 0 */
};

static const struct pn_plugin *plugin;
static void *state, *settings;
static struct item *items;
static size_t item_count, in_flight;
static char reasons[MAX_REASONS][500];
static size_t reason_count;
static struct pn_event model;
static int wake[2];

/* ------------------------------------------------------------------------------------------------------------- host */

static int host_fail(struct pn_call *call, int rc, const char *field, const char *text)
{
    (void) call;
    printf("fail %d %s: %s\n", rc, field ? field : "-", text);
    return rc;
}

static void host_log(const struct pn_host *host, struct pn_call *call, int level, const char *text)
{
    (void) host, (void) call;
    printf("log %d %s\n", level, text);
}

static void note_reason(const char *reason)
{
    for (size_t i = 0; i < reason_count; i++)
        if (!strcmp(reasons[i], reason))
            return;
    if (reason_count < MAX_REASONS)
        snprintf(reasons[reason_count++], sizeof reasons[0], "%s", reason);
}

static void host_settle(const struct pn_host *host, uint64_t ticket, int outcome, const char *reason)
{
    (void) host;
    if (ticket >= item_count || items[ticket].outcome != IN_FLIGHT) {
        printf("FAULT ticket %llu settled and not in flight\n", (unsigned long long) ticket);
        exit(3);
    }
    items[ticket].outcome = outcome;
    in_flight--;
    if (reason)
        note_reason(reason);
}

static void *host_alloc(struct pn_call *call, size_t size)
{
    (void) call, (void) size;
    return NULL;
}

static int64_t host_now(struct pn_call *call)
{
    (void) call;
    return (int64_t) time(NULL) * 1000;
}

static void host_random(struct pn_call *call, void *ret_bytes, size_t count)
{
    (void) call;
    memset(ret_bytes, 4, count);
}

static const struct pn_host host = { .size = sizeof host,
                                     .abi_major = PN_ABI_MAJOR,
                                     .abi_minor = PN_ABI_MINOR,
                                     .alloc = host_alloc,
                                     .fail = host_fail,
                                     .log = host_log,
                                     .now_ms = host_now,
                                     .random = host_random,
                                     .settle = host_settle };

/* --------------------------------------------------------------------------------------------------------- settings */

static struct pn_str read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = malloc(65536);
    if (!file || !text) {
        printf("cannot read %s\n", path);
        exit(2);
    }
    size_t size = fread(text, 1, 65535, file);
    text[size] = '\0';
    fclose(file);
    return (struct pn_str){ text, size };
}

static void set_option(const struct pn_option *option, const char *text)
{
    int64_t number;
    struct pn_str value = { text, strlen(text) };
    switch (option->type) {
    case PN_OPT_BOOLEAN:
    case PN_OPT_INTEGER:
        number = !strcmp(text, "true") ? 1 : strtoll(text, NULL, 10);
        memcpy((char *) settings + option->offset, &number, sizeof number);
        return;
    case PN_OPT_DURATION: /* in ms, but the default text may say "10s" */
        number = strtoll(text, NULL, 10) * (text[strlen(text) - 1] == 's' ? 1000 : 1);
        memcpy((char *) settings + option->offset, &number, sizeof number);
        return;
    default:
        if (option->type == PN_OPT_BYTES && text[0] == '@')
            value = read_file(text + 1);
        memcpy((char *) settings + option->offset, &value, sizeof value);
    }
}

static void make_settings(int count, char **arguments)
{
    settings = calloc(1, plugin->settings_size);
    for (uint32_t i = 0; settings && i < plugin->option_count; i++) {
        const struct pn_option *option = &plugin->options[i];
        size_t length = strlen(option->name);
        if (option->default_text)
            set_option(option, option->default_text);
        for (int k = 0; k < count; k++)
            if (!strncmp(arguments[k], option->name, length) && arguments[k][length] == '=')
                set_option(option, arguments[k] + length + 1);
    }
}

/* --------------------------------------------------------------------------------------------------------- commands */

static size_t add_item(void)
{
    struct item *item = &items[item_count];
    if (item_count == MAX_EVENTS)
        exit(4);
    item->event = model;
    snprintf(item->id, sizeof item->id, "%llu", 7000000000000000000ULL + item_count);
    item->event.id = (struct pn_str){ item->id, strlen(item->id) };
    return item_count++;
}

static int submit_one(size_t index)
{
    struct item *item = &items[index];
    int before = item->outcome;
    item->outcome = IN_FLIGHT;
    in_flight++;
    int rc = plugin->sink->submit(state, &item->event, index);
    if (rc != PN_SUBMITTED) {
        item->outcome = before;
        in_flight--;
    }
    return rc;
}

static const char *word(int rc)
{
    return rc == PN_SUBMITTED ? "ok" : rc == PN_WINDOW_FULL ? "full" : "down";
}

static int submit_pumping(size_t index)
{
    int rc;
    while ((rc = submit_one(index)) == PN_WINDOW_FULL)
        if (plugin->sink->pump(state, 10000, -1) == PN_SINK_DOWN)
            return PN_SINK_DOWN;
    return rc;
}

static void submit(size_t count)
{
    size_t done = 0;
    int rc = PN_SUBMITTED;
    for (; done < count && rc == PN_SUBMITTED; done++)
        rc = submit_pumping(add_item());
    printf("submit %s %zu\n", word(rc), done);
}

static void again(void)
{
    int rc = PN_SUBMITTED;
    for (size_t i = 0; i < item_count && rc == PN_SUBMITTED; i++)
        if (items[i].outcome != PN_DELIVERED && items[i].outcome != IN_FLIGHT) {
            items[i].event.attempt++;
            rc = submit_pumping(i);
        }
    printf("again %s\n", word(rc));
}

static void offer(size_t count)
{
    size_t done = 0;
    int rc = PN_SUBMITTED;
    while (done < count && (rc = submit_one(add_item())) == PN_SUBMITTED)
        done++;
    if (rc != PN_SUBMITTED)
        item_count--;
    printf("offer %s %zu\n", word(rc), done);
}

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void settle(int64_t timeout_ms)
{
    int64_t end = clock_ms() + timeout_ms;
    int rc = PN_SUBMITTED;
    while (in_flight > 0 && rc == PN_SUBMITTED && clock_ms() < end)
        rc = plugin->sink->pump(state, end - clock_ms(), -1);
    printf("settle %s %zu\n", word(rc), in_flight);
}

static void outcomes(void)
{
    size_t counts[5] = { 0 };
    for (size_t i = 0; i < item_count; i++)
        if (items[i].outcome <= PN_UNAVAILABLE)
            counts[items[i].outcome]++;
    for (size_t i = 0; i < reason_count; i++)
        printf("reason %s\n", reasons[i]);
    printf("outcomes delivered=%zu retry=%zu rejected=%zu unavailable=%zu flying=%zu\n", counts[PN_DELIVERED],
           counts[PN_RETRY], counts[PN_REJECTED], counts[PN_UNAVAILABLE], in_flight);
    reason_count = 0;
}

static void *interrupt_later(void *argument)
{
    struct timespec pause = { .tv_nsec = (long) (intptr_t) argument * 1000000 };
    nanosleep(&pause, NULL);
    plugin->sink->interrupt(state);
    return NULL;
}

static void interrupt_after(int64_t ms)
{
    pthread_t thread;
    pthread_create(&thread, NULL, interrupt_later, (void *) (intptr_t) ms);
    pthread_detach(thread);
    printf("interrupt ok\n");
}

static void usage(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("usage user_us=%lld system_us=%lld\n", (long long) used.ru_utime.tv_sec * 1000000 + used.ru_utime.tv_usec,
           (long long) used.ru_stime.tv_sec * 1000000 + used.ru_stime.tv_usec);
}

static void set_event(const char *text)
{
    const struct {
        const char *name;
        struct pn_str *value;
    } fields[] = { { "type", &model.type },
                   { "app", &model.app },
                   { "order_id", &model.order_id },
                   { "out_business_id", &model.out_business_id },
                   { "order_type", &model.order_type },
                   { "pay_no", &model.pay_no },
                   { "channel", &model.channel },
                   { "content_type", &model.content_type },
                   { "content_encoding", &model.content_encoding },
                   { "body", &model.body } };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        size_t length = strlen(fields[i].name);
        if (!strncmp(text, fields[i].name, length) && text[length] == '=') {
            char *copy = strdup(text + length + 1);
            *fields[i].value = (struct pn_str){ copy, strlen(copy) };
            printf("event ok\n");
            return;
        }
    }
    printf("event unknown\n");
}

static void pad(size_t size)
{
    char *body = malloc(size + 1);
    memset(body, 'x', size);
    body[size] = '\0';
    model.body = (struct pn_str){ body, size };
    printf("pad ok\n");
}

static bool run(char *line)
{
    char *argument = strchr(line, ' ');
    if (argument)
        *argument++ = '\0';
    long long number = argument ? strtoll(argument, NULL, 10) : 0;
    if (!strcmp(line, "connect"))
        printf("connect %d\n", plugin->sink->connect(state, NULL, number));
    else if (!strcmp(line, "submit"))
        submit((size_t) number);
    else if (!strcmp(line, "again"))
        again();
    else if (!strcmp(line, "offer"))
        offer((size_t) number);
    else if (!strcmp(line, "pump"))
        printf("pump %s\n", word(plugin->sink->pump(state, number, wake[0])));
    else if (!strcmp(line, "settle"))
        settle(number);
    else if (!strcmp(line, "wake"))
        printf("wake %zd\n", write(wake[1], "x", 1));
    else if (!strcmp(line, "unwake"))
        printf("unwake %zd\n", read(wake[0], (char[1]){ 0 }, 1));
    else if (!strcmp(line, "interrupt"))
        interrupt_after(number);
    else if (!strcmp(line, "event"))
        set_event(argument);
    else if (!strcmp(line, "pad"))
        pad((size_t) number);
    else if (!strcmp(line, "outcomes"))
        outcomes();
    else if (!strcmp(line, "usage"))
        usage();
    else if (!strcmp(line, "close")) {
        plugin->sink->close(state);
        outcomes();
        printf("close ok\n");
        return false;
    } else
        printf("what? %s\n", line);
    return true;
}

int main(int argc, char **argv)
{
    char line[4096];
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    plugin = library ? dlsym(library, "pn_plugin") : NULL;
    items = calloc(MAX_EVENTS, sizeof *items);
    if (!plugin || plugin->kind != PN_KIND_SINK || !items || pipe(wake)) {
        fprintf(stderr, "cannot load: %s\n", argc > 1 ? dlerror() : "which plugin?");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
#define TEXT(literal) { (literal), sizeof(literal) - 1 }
    model = (struct pn_event){ .size = sizeof model,
                               .attempt = 1,
                               .type = TEXT("payment.succeeded"),
                               .app = TEXT("learning"),
                               .order_id = TEXT("1001"),
                               .out_business_id = TEXT("business-1"),
                               .order_type = TEXT("60201"),
                               .pay_no = TEXT("2002"),
                               .channel = TEXT("alipay"),
                               .created_at_ms = 1700000000123,
                               .content_type = TEXT("application/json"),
                               .content_encoding = TEXT("UTF-8"),
                               .body = TEXT("{\"id\":1}") };
    make_settings(argc - 2, argv + 2);
    if (!settings || plugin->sink->open(settings, &host, NULL, &state) != PN_OK)
        return 1;
    printf("open ok\n");
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (!run(line))
            break;
    }
    return 0;
}
