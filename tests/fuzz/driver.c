/*
 * Runs a libFuzzer harness without libFuzzer, so that `make check` fuzzes a little with any compiler: every file of
 * tests/fuzz/corpus/<name>, then a fixed number of mutations of them by a fixed seed. Prints TAP. A crash prints the
 * input in hex. With arguments it runs those files only. One thread.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_LIMIT = 1 << 16, MUTATIONS = 20000, BYTES_LIMIT = 16 << 20, HANG_SECONDS = 60 };

struct input {
    uint8_t *data;
    size_t size;
};

static struct input *corpus;
static size_t corpus_count;

/* ---- what runs at the moment, for the crash handler */

static const uint8_t *running;
static size_t running_size;

static void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(1);
}

static void on_crash(int signal_number)
{
    say(signal_number == SIGALRM ? "not ok - hung on the input\n# " : "not ok - crashed on the input\n# ");
    for (size_t i = 0; i < running_size && i < 4096; i++) {
        char hex[3] = { "0123456789abcdef"[running[i] >> 4], "0123456789abcdef"[running[i] & 15], 0 };
        say(hex);
    }
    say("\n");
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* A copy of exactly the input's size, so that AddressSanitizer sees a read behind it. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        exit(1);
    if (size)
        memcpy(copy, data, size);
    running = copy;
    running_size = size;
    alarm(HANG_SECONDS);
    LLVMFuzzerTestOneInput(copy, size);
    alarm(0);
    running_size = 0;
    free(copy);
}

/* ---- the corpus */

static bool read_file(const char *path, struct input *ret)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    uint8_t *data = malloc(SIZE_LIMIT);
    size_t size = data ? fread(data, 1, SIZE_LIMIT, file) : 0;
    bool fine = data && !ferror(file);
    fclose(file);
    if (!fine) {
        free(data);
        return false;
    }
    *ret = (struct input){ data, size };
    return true;
}

static void add_input(const char *path)
{
    struct input *larger = realloc(corpus, (corpus_count + 1) * sizeof *corpus);
    if (!larger)
        exit(1);
    corpus = larger;
    if (read_file(path, &corpus[corpus_count]))
        corpus_count++;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int read_corpus(const char *name)
{
    const char *srcdir = getenv("PN_SRCDIR");
    char dir[1024], path[2048];
    snprintf(dir, sizeof dir, "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", name);
    struct dirent **entries;
    int n = scandir(dir, &entries, visible, by_name);
    if (n < 0) {
        printf("Bail out! cannot read %s: %s\n", dir, strerror(errno));
        return 1;
    }
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        add_input(path);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

/* ---- mutations */

static uint64_t random_state = 0x706e2d66757a7a31;

static size_t random_below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return n ? (size_t) (random_state >> 16) % n : 0;
}

static size_t cut_out(uint8_t *data, size_t size)
{
    size_t from = random_below(size), n = random_below(size - from) + 1;
    memmove(data + from, data + from + n, size - from - n);
    return size - n;
}

/* Puts n bytes in at a random place, as far as there is room. */
static size_t put_in(uint8_t *data, size_t size, const uint8_t *bytes, size_t n)
{
    size_t at = random_below(size + 1);
    n = n < SIZE_LIMIT - size ? n : SIZE_LIMIT - size;
    memmove(data + at + n, data + at, size - at);
    memcpy(data + at, bytes, n);
    return size + n;
}

static size_t mutate(uint8_t *data, size_t size)
{
    static const char *const tokens[] = { "\"", "\\", "&", "=", "%", "<", ">", "{", "}", "[", "]", "\n", ";", "\xff", "\xe4\xb8",
                                          "-1", "18446744073709551616", "9223372036854775807", "0.01", "1e9", "null" };
    static const uint8_t bytes[] = { 0, 1, ' ', '\n', '0', '9', 'a', 0x7f, 0x80, 0xff };
    uint8_t piece[256];
    if (size == 0)
        return put_in(data, size, bytes, random_below(sizeof bytes));
    switch (random_below(7)) {
    case 0: data[random_below(size)] ^= (uint8_t) (1U << random_below(8)); return size;
    case 1: data[random_below(size)] = bytes[random_below(sizeof bytes)]; return size;
    case 2: return cut_out(data, size);
    case 3: return random_below(size);
    case 4: {
        const char *token = tokens[random_below(sizeof tokens / sizeof tokens[0])];
        return put_in(data, size, (const uint8_t *) token, strlen(token));
    }
    case 5: {
        size_t from = random_below(size), n = random_below(size - from < sizeof piece ? size - from : sizeof piece) + 1;
        memcpy(piece, data + from, n);
        return put_in(data, size, piece, n);
    }
    default: {
        const struct input *other = &corpus[random_below(corpus_count)];
        size_t from = random_below(other->size);
        return other->size ? put_in(data, size, other->data + from, random_below(other->size - from) + 1) : size;
    }
    }
}

static void run_mutations(void)
{
    static uint8_t data[SIZE_LIMIT];
    size_t bytes = 0;
    for (int i = 0; i < MUTATIONS && bytes < BYTES_LIMIT; i++) {
        const struct input *input = &corpus[random_below(corpus_count)];
        size_t size = input->size;
        memcpy(data, input->data, size);
        for (size_t steps = random_below(4) + 1; steps; steps--)
            size = mutate(data, size);
        bytes += size;
        run(data, size);
    }
}

static const char *harness_name(const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : program;
    return strncmp(name, "lt-", 3) == 0 ? name + 3 : name;
}

int main(int argc, char **argv)
{
    const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM };
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], on_crash);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1)
        for (int i = 1; i < argc; i++)
            add_input(argv[i]);
    else if (read_corpus(harness_name(argv[0])))
        return 1;
    printf("1..2\n");
    run(NULL, 0);
    for (size_t i = 0; i < corpus_count; i++)
        run(corpus[i].data, corpus[i].size);
    printf("ok 1 - %zu inputs of the corpus\n", corpus_count);
    if (argc == 1 && corpus_count)
        run_mutations();
    printf("ok 2 - mutations\n");
    for (size_t i = 0; i < corpus_count; i++)
        free(corpus[i].data);
    free(corpus);
    return 0;
}
