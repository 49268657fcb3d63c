/*
 * The register of metrics: an array sorted by name and labels, behind a mutex that only lookups and /metrics take.
 * Bumping a metric touches nothing but the metric. Any thread.
 */
#include "base/metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct metric metric;
    char *name, *labels, *help; /* labels: "" when there are none */
    const char *type;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry **entries; /* sorted; entries never move, so metrics may be kept */
static size_t entry_count, entry_cap;

static int compare(const struct entry *entry, const char *name, const char *labels)
{
    int order = strcmp(entry->name, name);
    return order ? order : strcmp(entry->labels, labels);
}

/* Where the entry is, or would be. */
static size_t position(const char *name, const char *labels)
{
    size_t low = 0, high = entry_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare(entries[middle], name, labels) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void *need(void *memory)
{
    if (!memory)
        abort(); /* a few bytes at start-up */
    return memory;
}

static struct entry *entry_new(const char *name, const char *labels, const char *help, const char *type)
{
    struct entry *entry = need(calloc(1, sizeof *entry));
    entry->name = need(strdup(name));
    entry->labels = need(strdup(labels));
    entry->help = need(strdup(help ? help : ""));
    entry->type = type;
    return entry;
}

static struct metric *find_or_make(const char *name, const char *labels, const char *help, const char *type)
{
    labels = labels ? labels : "";
    pthread_mutex_lock(&lock);
    size_t at = position(name, labels);
    if (at == entry_count || compare(entries[at], name, labels) != 0) {
        if (entry_count == entry_cap) {
            entry_cap = entry_cap ? 2 * entry_cap : 64;
            entries = need(realloc(entries, entry_cap * sizeof *entries));
        }
        memmove(entries + at + 1, entries + at, (entry_count - at) * sizeof *entries);
        entries[at] = entry_new(name, labels, help, type);
        entry_count++;
    }
    struct metric *metric = &entries[at]->metric;
    pthread_mutex_unlock(&lock);
    return metric;
}

struct metric *metric_counter(const char *name, const char *labels, const char *help)
{
    return find_or_make(name, labels, help, "counter");
}

struct metric *metric_gauge(const char *name, const char *labels, const char *help)
{
    return find_or_make(name, labels, help, "gauge");
}

static struct metric *with_label(const char *name, const char *label, const char *value, const char *help, const char *type)
{
    struct buf labels = { 0 };
    buf_addf(&labels, "%s=", label);
    buf_add_json(&labels, value);
    struct metric *metric = find_or_make(name, buf_text(&labels), help, type);
    buf_free(&labels);
    return metric;
}

struct metric *metric_counter_of(const char *name, const char *label, const char *value, const char *help)
{
    return with_label(name, label, value, help, "counter");
}

struct metric *metric_gauge_of(const char *name, const char *label, const char *value, const char *help)
{
    return with_label(name, label, value, help, "gauge");
}

void metrics_render(struct buf *ret_text)
{
    const char *family = "";
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < entry_count; i++) {
        struct entry *entry = entries[i];
        if (strcmp(family, entry->name) != 0) {
            family = entry->name;
            buf_addf(ret_text, "# HELP %s %s\n# TYPE %s %s\n", family, entry->help, family, entry->type);
        }
        buf_adds(ret_text, entry->name);
        if (entry->labels[0])
            buf_addf(ret_text, "{%s}", entry->labels);
        buf_addc(ret_text, ' ');
        buf_add_i64(ret_text, atomic_load_explicit(&entry->metric.value, memory_order_relaxed));
        buf_addc(ret_text, '\n');
    }
    pthread_mutex_unlock(&lock);
}
