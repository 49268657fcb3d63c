/*
 * The XML reader: what it takes and refuses, and what it must not do meanwhile. A child process that the kernel kills at its
 * first attempt to open a file or a socket judges every notice of the vectors; libxml2's memory is counted.
 */
#include <errno.h>
#include <libxml/xmlerror.h>
#include <libxml/xmlmemory.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "unit/wechat_fixture.h"

static struct pn_kv fields[XML_ELEMENTS_MAX];
static char text[XML_BYTES_MAX];

static const char *read_str(struct pn_str body, size_t *ret_count)
{
    char *exact = test_malloc(body.len ? body.len : 1); /* so that a read behind it is seen */
    const char *fault;

    if (body.len)
        memcpy(exact, body.data, body.len);
    fault = xml_read((struct pn_str){ exact, body.len }, "xml", text, fields, ret_count);
    test_free(exact);
    return fault;
}

static void assert_value(const char *body, const char *want)
{
    size_t count = 0;
    const char *fault = read_str(str_of(body), &count);

    if (fault)
        fail_msg("%s: %s", body, fault);
    assert_int_equal(count, 1);
    assert_str(fields[0].name, STR("a"));
    assert_str(fields[0].value, str_of(want));
}

static void assert_fault(const char *body, const char *want)
{
    size_t count = 77;
    const char *fault = read_str(str_of(body), &count);

    if (!fault || strcmp(fault, want) != 0)
        fail_msg("%s: got %s, wanted %s", body, fault ? fault : "nothing", want);
    assert_int_equal(count, 77);
}

static void values_are_read_as_they_are_meant(void **state)
{
    (void)state;
    assert_value("<xml><a>b</a></xml>", "b");
    assert_value("<xml><a/></xml>", "");
    assert_value("<xml><a></a></xml>", "");
    assert_value("<xml><a> b </a></xml>", " b ");
    assert_value("<xml>\r\n\t<a><![CDATA[]]></a>\r\n</xml>\n", "");
    assert_value("<xml><a>a<![CDATA[<b>&amp;]]>c</a></xml>", "a<b>&amp;c");
    assert_value("<xml><a>&lt;&gt;&amp;&quot;&apos;&#65;&#x4e2d;</a></xml>", "<>&\"'A中");
    assert_value("<xml><a>b<!-- c -->d<?pi e?>f</a></xml>", "bdf");
    assert_value("<xml><a b=\"c\">d</a></xml>", "d");
    assert_value("<?xml version=\"1.0\" encoding='UTF-8'?><xml><a>b</a></xml>", "b");
    assert_value("<?xml version=\"1.0\"?><xml><a>b\r\nc\rd</a></xml>", "b\nc\nd");
    assert_value("\xef\xbb\xbf<xml><a>b</a></xml>", "b");
    assert_value("<xml><a><![CDATA[<!DOCTYPE x []>]]></a></xml>", "<!DOCTYPE x []>");
}

static void anything_but_flat_xml_is_refused(void **state)
{
    (void)state;
    assert_fault("", "the body is empty");
    assert_fault(" ", "not well-formed XML");
    assert_fault("a", "not well-formed XML");
    assert_fault("<xml>", "not well-formed XML");
    assert_fault("<xml><a>b</a>", "not well-formed XML");
    assert_fault("<xml><a>b</b></xml>", "not well-formed XML");
    assert_fault("<xml><a>b</a></xml><xml></xml>", "not well-formed XML");
    assert_fault("<xml><a>b</a></xml>c", "not well-formed XML");
    assert_fault("<xml><a>&b;</a></xml>", "not well-formed XML");
    assert_fault("<xml><a>&#0;</a></xml>", "not well-formed XML");
    assert_fault("<xml><a>\x01</a></xml>", "not well-formed XML");
    assert_fault("<xml>b<a/></xml>", "text between the elements");
    assert_fault("<xml><![CDATA[b]]><a/></xml>", "text between the elements");
    assert_fault("<xml><a><b/></a></xml>", "an element inside an element");
    assert_fault("<XML><a/></XML>", "the root element has another name");
    assert_fault("<xml xmlns=\"x\"><a/></xml>", "an element of a namespace");
    assert_fault("<xml xmlns:b=\"x\"><b:a/></xml>", "an element of a namespace");
    assert_fault("<xml><a>\xff</a></xml>", "the body is not UTF-8");
    assert_fault("<?xml version=\"1.0\" encoding=\"GBK\"?><xml><a>b</a></xml>", "the XML declares another encoding than UTF-8");
    assert_fault("<?xml version=\"1.0\" encoding=\"UTF-8x\"?><xml/>", "the XML declares another encoding than UTF-8");
    assert_fault("<?xml version=\"1.0\" encoding=\"UTF-16\"?><xml/>", "the XML declares another encoding than UTF-8");
    assert_int_equal(strcmp(read_str((struct pn_str){ "<xml>\0</xml>", 12 }, &(size_t){ 0 }), "the body is not UTF-8"), 0);
}

static void every_doctype_is_refused(void **state)
{
    (void)state;
    assert_fault("<!DOCTYPE xml><xml/>", "a DOCTYPE");
    assert_fault("<!DOCTYPE xml []><xml/>", "a DOCTYPE");
    assert_fault("<?xml version=\"1.0\"?><!-- x --><!DOCTYPE xml SYSTEM \"file:///etc/passwd\"><xml/>", "a DOCTYPE");
    assert_fault("<!DOCTYPE xml PUBLIC \"a\" \"http://127.0.0.1:1/\"><xml/>", "a DOCTYPE");
    assert_fault("<!DOCTYPE xml [<!ENTITY % x SYSTEM \"http://127.0.0.1:1/\">%x;]><xml/>", "a DOCTYPE");
    assert_fault("<!DOCTYPE xml [<!ENTITY x \"y\">]><xml><a>&x;</a></xml>", "a DOCTYPE");
    assert_fault("<xml/><!DOCTYPE xml>", "not well-formed XML");
}

/* `count` elements of `piece` between the tags of the root. */
static struct pn_str repeated(const char *opening, const char *piece, size_t count, const char *closing)
{
    size_t len = strlen(piece), total = strlen(opening) + count * len + strlen(closing);
    char *body = test_malloc(total), *to = body;

    memcpy(to, opening, strlen(opening));
    to += strlen(opening);
    for (size_t i = 0; i < count; i++, to += len)
        memcpy(to, piece, len);
    memcpy(to, closing, strlen(closing));
    return (struct pn_str){ body, total };
}

static void assert_repeated(const char *opening, const char *piece, size_t count, const char *closing, const char *want)
{
    struct pn_str body = repeated(opening, piece, count, closing);
    size_t read = 0;
    const char *fault = read_str(body, &read);

    test_free((void *)(uintptr_t)body.data);
    if (!want)
        assert_null(fault);
    else
        assert_string_equal(fault ? fault : "nothing", want);
}

static void size_depth_and_elements_are_bounded(void **state)
{
    (void)state;
    assert_repeated("<xml>", "<a>b</a>", XML_ELEMENTS_MAX, "</xml>", NULL);
    assert_repeated("<xml>", "<a>b</a>", XML_ELEMENTS_MAX + 1, "</xml>", "too many elements");
    assert_repeated("<xml>", "<a>", 8000, "", "an element inside an element");
    assert_repeated("<xml><a>", "b", XML_BYTES_MAX - 18, "</a></xml>", NULL);
    assert_repeated("<xml><a>", "b", XML_BYTES_MAX, "</a></xml>", "the body is too large");
    assert_repeated("<xml><a>", "&amp;", 12000, "</a></xml>", NULL);
    assert_repeated("<xml><a ", "b", 40000, "=\"\"/></xml>", NULL);
    assert_repeated("<xml><", "b", XML_NAME_MAX, "/></xml>", NULL);
    assert_repeated("<xml><", "b", XML_NAME_MAX + 1, "/></xml>", "the name of an element is too long");
}

static void what_is_written_reads_the_same(void **state)
{
    static const char *const values[] = { "", "]]>", "]]", "]]]]>>", "]]>]]>", "a]]>b", "<![CDATA[x]]>", "&amp;", " x ", "中" };
    char body[256];

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct pn_kv field = { STR("a"), str_of(values[i]) };
        size_t len = xml_write(&field, 1, NULL), count = 0;

        assert_true(len < sizeof(body));
        assert_int_equal(xml_write(&field, 1, body), len);
        assert_null(read_str((struct pn_str){ body, len }, &count));
        assert_int_equal(count, 1);
        assert_str(fields[0].value, str_of(values[i]));
    }
}

/* ---- no file, no socket */

#define KILL_AT(number_) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number_), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static bool confine(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef __NR_open
        KILL_AT(__NR_open),
#endif
        KILL_AT(__NR_openat),
        KILL_AT(__NR_openat2),
        KILL_AT(__NR_socket),
        KILL_AT(__NR_connect),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

enum { CANNOT_CONFINE = 77 };

static int judge_confined(json_t *cases, struct wechat_channel *channel)
{
    const json_t *item;
    size_t i;

    if (!confine())
        return CANNOT_CONFINE;
    json_array_foreach(cases, i, item) {
        struct pn_str body = vector_bytes(item, "body");
        struct pn_notification notice;

        if (wechat_channel_notification(channel, body, &notice) != PN_OK)
            return 1;
        if (vector_has(json_object_get(item, "expect"), "must_not") && notice.verdict != PN_REFUSED)
            return 2;
        free((void *)(uintptr_t)body.data);
    }
    return 0;
}

static int in_child(int (*run)(json_t *, struct wechat_channel *), json_t *cases, struct wechat_channel *channel)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        _exit(run(cases, channel));
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return status;
}

static int open_confined(json_t *cases, struct wechat_channel *channel)
{
    (void)cases, (void)channel;
    if (!confine())
        return CANNOT_CONFINE;
    return fopen("/dev/null", "r") ? 3 : 4;
}

static void no_notice_opens_a_file_or_a_socket(void **state)
{
    json_t *root = vectors_load("wechat-notify"), *cases = json_object_get(root, "cases");
    struct wechat_channel channel;
    int status;

    (void)state;
    wechat_channel_open(&channel, "MD5");
    status = in_child(open_confined, cases, &channel);
    assert_true(WIFSIGNALED(status)); /* the trap works; without it, nothing would be shown */
    status = in_child(judge_confined, cases, &channel);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    wechat_channel_close(&channel);
    json_decref(root);
}

/* ---- memory: what libxml2 takes, at most, while it reads a body of at most 64 KiB */

static size_t in_use, most;

static void *counted_malloc(size_t size)
{
    void *piece = malloc(size);

    in_use += piece ? malloc_usable_size(piece) : 0;
    most = in_use > most ? in_use : most;
    return piece;
}

static void counted_free(void *piece)
{
    in_use -= piece ? malloc_usable_size(piece) : 0;
    free(piece);
}

static void *counted_realloc(void *piece, size_t size)
{
    size_t before = piece ? malloc_usable_size(piece) : 0;
    void *larger = realloc(piece, size);

    if (larger) {
        in_use += malloc_usable_size(larger) - before;
        most = in_use > most ? in_use : most;
    }
    return larger;
}

static char *counted_strdup(const char *from)
{
    size_t size = strlen(from) + 1;
    char *copy = counted_malloc(size);

    if (copy)
        memcpy(copy, from, size);
    return copy;
}

static void every_notice_is_read_in_bounded_memory(void **state)
{
    json_t *root = vectors_load("wechat-notify");
    const json_t *item;
    size_t i, count, before;

    (void)state;
    json_array_foreach(json_object_get(root, "cases"), i, item) {
        struct pn_str body = vector_bytes(item, "body");

        xmlResetLastError(); /* kept per thread, until the next */
        before = most = in_use;
        read_str(body, &count);
        xmlResetLastError();
        assert_true(most - before < 1024 * 1024);
        assert_int_equal(in_use, before);
        free((void *)(uintptr_t)body.data);
    }
    json_decref(root);
}

int main(void)
{
    struct suite *suite = suite_new();

    xmlMemSetup(counted_free, counted_malloc, counted_realloc, counted_strdup); /* before anything uses libxml2 */
    SUITE_ADD(suite, values_are_read_as_they_are_meant);
    SUITE_ADD(suite, anything_but_flat_xml_is_refused);
    SUITE_ADD(suite, every_doctype_is_refused);
    SUITE_ADD(suite, size_depth_and_elements_are_bounded);
    SUITE_ADD(suite, what_is_written_reads_the_same);
    SUITE_ADD(suite, every_notice_is_read_in_bounded_memory);
    SUITE_ADD(suite, no_notice_opens_a_file_or_a_socket);
    return suite_run(suite, "wechat xml");
}
