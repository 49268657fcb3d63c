/*
 * paynotify.conf and its drop-ins, read with inih. Our reader sees each line before inih does: it counts, it notes the
 * sections, and what inih would cut, glue or guess becomes a fault and an empty line. Called by config_load at start-up,
 * one thread.
 */
#include "config/ini.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "config/expand.h"

/* What Debian's build of inih takes: 200 bytes with "\n" and NUL, and 50 with NUL for names. */
enum { LINE_MAX_LENGTH = 198, NAME_MAX_LENGTH = 49, LINES_MAX = 100000 };

struct reading {
    struct ini *ini;
    struct faults *faults;
    FILE *stream;
    const char *file;
    int line;
    struct ini_section *section; /* the one that keys belong to; NULL before the first and after a broken header */
    bool broken_section;         /* its keys are passed over in silence: one fault is enough */
};

/* ---- lines */

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t");
}

static bool is_comment(const char *p)
{
    return *p == ';' || *p == '#';
}

static const char *trimmed(struct arena *arena, const char *from, size_t length)
{
    while (length && (*from == ' ' || *from == '\t')) {
        from++;
        length--;
    }
    while (length && (from[length - 1] == ' ' || from[length - 1] == '\t'))
        length--;
    return arena_strndup(arena, from, length);
}

static struct ini_section *find_section(struct ini *ini, const char *kind, const char *name)
{
    for (size_t i = 0; i < ini->section_count; i++)
        if (strcmp(ini->sections[i].kind, kind) == 0 && strcmp(ini->sections[i].name, name) == 0)
            return &ini->sections[i];
    return NULL;
}

/* Room for one more; what was there before is left to the arena. */
static void *grown(struct arena *arena, void *items, size_t count, size_t item_size)
{
    if (count & (count - 1)) /* not a power of two: there is room */
        return items;
    void *larger = arena_alloc(arena, (count ? 2 * count : 1) * item_size);
    if (!larger)
        abort(); /* a configuration that does not fit into memory */
    if (count)
        memcpy(larger, items, count * item_size);
    return larger;
}

static bool begin_section(struct reading *reading, const char *header)
{
    struct ini *ini = reading->ini;
    const char *kind_end = header + strcspn(header, " \t");
    const char *kind = arena_strndup(ini->arena, header, (size_t) (kind_end - header));
    const char *name = trimmed(ini->arena, kind_end, strlen(kind_end));
    const struct ini_section *before = find_section(ini, kind, name);
    reading->section = NULL;
    reading->broken_section = true;
    if (before) {
        fault_add(reading->faults, reading->file, reading->line, "[%s] stands a second time; the first is at %s:%d", header,
                  before->file, before->line);
        return false;
    }
    ini->sections = grown(ini->arena, ini->sections, ini->section_count, sizeof *ini->sections);
    reading->section = &ini->sections[ini->section_count++];
    *reading->section = (struct ini_section){ .kind = kind, .name = name, .file = reading->file, .line = reading->line };
    reading->broken_section = false;
    return true;
}

static bool take_header(struct reading *reading, const char *line)
{
    const char *end = strchr(line, ']');
    const char *behind = end ? skip_blanks(end + 1) : "";
    reading->section = NULL;
    reading->broken_section = true;
    if (!end || (*behind && !is_comment(behind))) {
        fault_add(reading->faults, reading->file, reading->line, "wanted [section] and nothing else on the line, found \"%s\"", line);
        return false;
    }
    const char *header = trimmed(reading->ini->arena, line + 1, (size_t) (end - line - 1));
    if (!*header || strlen(header) > NAME_MAX_LENGTH) {
        fault_add(reading->faults, reading->file, reading->line, "wanted a section name of 1 to %d bytes, found [%.80s]",
                  NAME_MAX_LENGTH, header);
        return false;
    }
    return begin_section(reading, header);
}

/* " ;" ends a value for inih. That is a comment when a blank follows; otherwise it would cut the value. " # " looks like a
 * comment and would be part of the value. */
static const char *misread(const char *value)
{
    for (const char *p = value; *p; p++) {
        if (p == value || (p[-1] != ' ' && p[-1] != '\t'))
            continue;
        bool blank_behind = !p[1] || p[1] == ' ' || p[1] == '\t';
        if (*p == ';')
            return blank_behind ? NULL
                                : "\" ;\" ends a value; put a blank behind it if this is a comment, else take the value from a "
                                  "file or from ${NAME}";
        if (*p == '#' && blank_behind)
            return "\" #\" begins no comment behind a value; write \" ; \", or take the value from a file or from ${NAME}";
    }
    return NULL;
}

static const char *fault_of_pair(const char *line)
{
    size_t name_end = strcspn(line, "=:");
    while (name_end && (line[name_end - 1] == ' ' || line[name_end - 1] == '\t'))
        name_end--;
    const char *sign = skip_blanks(line + name_end);
    if (*sign != '=')
        return "wanted key = value";
    if (name_end == 0)
        return "wanted a key before the =";
    if (name_end > NAME_MAX_LENGTH)
        return "the key is longer than 49 bytes";
    return misread(sign + 1);
}

static const char *fault_of_line(const char *line, size_t length)
{
    if (strlen(line) != length || !text_is_utf8(line, length))
        return "wanted UTF-8 text";
    if (length > LINE_MAX_LENGTH)
        return "the line is longer than 198 bytes; take the value from a file (KEY_file = PATH) or from ${NAME}";
    if (*line == ' ' || *line == '\t')
        return "the line is indented; begin it at the margin (a value cannot go on over several lines)";
    return *line == '[' ? NULL : fault_of_pair(line);
}

/* A broken line that names a key: the key counts as given, so that it is not reported as missing too. */
static void note_broken(struct reading *reading, const char *text)
{
    const char *sign = strchr(text, '=');
    struct ini_section *section = reading->section;
    const char *name = sign && section ? trimmed(reading->ini->arena, text, (size_t) (sign - text)) : "";
    if (!*name || strlen(name) > NAME_MAX_LENGTH || strpbrk(name, " \t["))
        return;
    section->keys = grown(reading->ini->arena, section->keys, section->key_count, sizeof *section->keys);
    section->keys[section->key_count++] = (struct ini_key){ .name = name, .file = reading->file, .line = reading->line };
}

/* Whether inih may see the line. */
static bool take_line(struct reading *reading, const char *line, size_t length)
{
    const char *text = skip_blanks(line);
    if (is_comment(text) || (!*text && text == line + length))
        return false;
    const char *wrong = fault_of_line(line, length);
    if (!wrong)
        return *line == '[' ? take_header(reading, line) : true;
    fault_add(reading->faults, reading->file, reading->line, "%s", wrong);
    note_broken(reading, text);
    return false;
}

/* fgets for inih. */
static char *next_line(char *ret_line, int size, void *stream)
{
    struct reading *reading = stream;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = reading->line < LINES_MAX ? getline(&line, &cap, reading->stream) : -1;
    if (n < 0) {
        free(line);
        return NULL;
    }
    reading->line++;
    size_t length = (size_t) n;
    while (length && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        line[--length] = 0;
    const char *start = line;
    if (reading->line == 1 && length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        start += 3;
        length -= 3;
    }
    snprintf(ret_line, (size_t) size, "%s", take_line(reading, start, length) ? start : "");
    free(line);
    return ret_line;
}

/* ---- keys, as inih finds them */

static int take_key(void *user, const char *section_name, const char *name, const char *value)
{
    struct reading *reading = user;
    struct ini_section *section = reading->section;
    struct arena *arena = reading->ini->arena;
    (void) section_name; /* ours knows its line */
    if (!section) {
        if (!reading->broken_section)
            fault_add(reading->faults, reading->file, reading->line, "key \"%s\" stands before the first [section]", name);
        return 1;
    }
    for (size_t i = 0; i < section->key_count; i++)
        if (strcmp(section->keys[i].name, name) == 0 && section->keys[i].value) {
            fault_add(reading->faults, reading->file, reading->line, "[%s%s%s] \"%s\" stands a second time; the first is at line %d",
                      section->kind, *section->name ? " " : "", section->name, name, section->keys[i].line);
            return 1;
        }
    struct error err = { 0 };
    struct ini_key key = { .name = arena_strdup(arena, name), .file = reading->file, .line = reading->line };
    if (expand(value, arena, &key.value, &key.from_env, &err) != RC_OK) {
        fault_add(reading->faults, reading->file, reading->line, "[%s%s%s] %s: %s", section->kind, *section->name ? " " : "",
                  section->name, name, err.text);
        key.value = NULL;
    }
    section->keys = grown(arena, section->keys, section->key_count, sizeof *section->keys);
    section->keys[section->key_count++] = key;
    return 1;
}

static enum rc read_file(struct ini *ini, const char *file, struct faults *faults)
{
    struct stat st;
    FILE *stream = fopen(file, "re");
    if (!stream || fstat(fileno(stream), &st) != 0 || S_ISDIR(st.st_mode)) {
        fault_add(faults, file, 0, "cannot be read: %s", stream ? "it is not a file" : strerror(errno));
        if (stream)
            fclose(stream);
        return RC_CONFIG;
    }
    struct reading reading = { .ini = ini, .faults = faults, .stream = stream, .file = file };
    ini_parse_stream(next_line, &reading, take_key, &reading);
    if (ferror(stream))
        fault_add(faults, file, reading.line, "cannot be read any further: %s", strerror(errno));
    else if (reading.line >= LINES_MAX)
        fault_add(faults, file, reading.line, "has more than %d lines", LINES_MAX);
    fclose(stream);
    return RC_OK;
}

/* ---- drop-ins */

static int is_drop_in(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_drop_ins(struct ini *ini, const struct ini_key *key, struct faults *faults)
{
    struct dirent **entries;
    bool absolute = key->value[0] == '/' || strcmp(ini->dir, ".") == 0;
    const char *dir = absolute ? key->value : arena_printf(ini->arena, "%s/%s", ini->dir, key->value);
    int n = scandir(dir, &entries, is_drop_in, by_name);
    if (n < 0) {
        fault_add(faults, key->file, key->line, "[server] include_dir: cannot read %s: %s", dir, strerror(errno));
        return;
    }
    for (int i = 0; i < n; i++) {
        read_file(ini, arena_printf(ini->arena, "%s/%s", dir, entries[i]->d_name), faults);
        free(entries[i]);
    }
    free(entries);
}

static const char *directory_of(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    return slash == path ? "/" : arena_strndup(arena, path, (size_t) (slash - path));
}

enum rc ini_read(const char *path, struct faults *faults, struct ini **ret_ini)
{
    struct arena *arena = arena_new(0);
    struct ini *ini = arena_alloc(arena, sizeof *ini);
    ini->arena = arena;
    ini->dir = directory_of(arena, path);
    enum rc rc = read_file(ini, arena_strdup(arena, path), faults);
    if (rc != RC_OK) {
        arena_free(arena);
        return rc;
    }
    struct ini_section *server = find_section(ini, "server", "");
    size_t main_sections = ini->section_count;
    struct ini_key *include = server ? ini_find(server, "include_dir") : NULL;
    if (include && include->value)
        read_drop_ins(ini, include, faults);
    for (size_t i = main_sections; i < ini->section_count; i++) {
        struct ini_key *nested = ini_find(&ini->sections[i], "include_dir");
        if (nested)
            fault_add(faults, nested->file, nested->line, "include_dir belongs into [server] of %s", path);
    }
    *ret_ini = ini;
    return RC_OK;
}

void ini_free(struct ini *ini)
{
    if (ini)
        arena_free(ini->arena);
}

struct ini_key *ini_find(struct ini_section *section, const char *name)
{
    for (size_t i = 0; i < section->key_count; i++)
        if (strcmp(section->keys[i].name, name) == 0) {
            section->keys[i].used = true;
            return &section->keys[i];
        }
    return NULL;
}
