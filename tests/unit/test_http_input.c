/*
 * What the HTTP layer reads: routes, query strings, JSON bodies by spec, forwarded addresses, languages. All pure.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "http/language.h"
#include "http/proxies.h"
#include "http/query.h"
#include "http/route.h"
#include "http/spec.h"

/* ---- routes */

static const char *found(unsigned side, const char *method, const char *path)
{
    static char text[256];
    struct route_match match;
    size_t count;
    const struct http_route *routes = http_routes(&count);
    route_find(routes, count, side, method, path, &match);
    if (!match.route)
        snprintf(text, sizeof text, "none %s", match.allow);
    else
        snprintf(text, sizeof text, "%s %.*s", match.route->path, (int) match.id_len, match.id ? match.id : "");
    return text;
}

static void routes_match_whole_paths_and_one_segment(void **state)
{
    (void) state;
    assert_string_equal(found(SIDE_API, "POST", "/v1/orders"), "/v1/orders ");
    assert_string_equal(found(SIDE_API, "GET", "/v1/orders/17"), "/v1/orders/{order_id} 17");
    assert_string_equal(found(SIDE_API, "POST", "/v1/orders/17/close"), "/v1/orders/{order_id}/close 17");
    assert_string_equal(found(SIDE_API, "HEAD", "/v1/orders/17"), "/v1/orders/{order_id} 17");
    assert_string_equal(found(SIDE_PUBLIC, "GET", "/pay/17/status"), "/pay/{pay_no}/status 17");
    static const char *const nowhere[] = {
        "",          "/",           "/v1",           "/v1/orders/",         "/v1/orders//close",
        "/v1/order", "/v1/ordersx", "/v1/orders/1/", "/v1/orders/1/closes", "//v1/orders"
    };
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++)
        assert_string_equal(found(SIDE_API, "GET", nowhere[i]), "none ");
}

static void routes_of_the_other_side_do_not_exist(void **state)
{
    (void) state;
    assert_string_equal(found(SIDE_PUBLIC, "POST", "/v1/orders"), "none ");
    assert_string_equal(found(SIDE_API, "POST", "/notify/x"), "none ");
    assert_string_equal(found(SIDE_PUBLIC, "GET", "/metrics"), "none ");
}

static void wrong_method_lists_the_right_ones(void **state)
{
    (void) state;
    assert_string_equal(found(SIDE_API, "DELETE", "/v1/orders"), "none POST, GET, HEAD");
    assert_string_equal(found(SIDE_API, "GET", "/v1/orders/1/close"), "none POST");
    assert_string_equal(found(SIDE_PUBLIC, "get", "/pay/1"), "none GET, HEAD");
}

/* ---- query strings */

static void query_is_decoded_and_checked(void **state)
{
    struct arena *arena = *state;
    struct query query;
    struct error err;
    assert_int_equal(query_parse("a=1&b=%E4%B8%80+x&c&&d=", arena, &query, &err), RC_OK);
    assert_int_equal(query.count, 4);
    assert_string_equal(query_get(&query, "a"), "1");
    assert_string_equal(query_get(&query, "b"), "一 x");
    assert_string_equal(query_get(&query, "c"), "");
    assert_null(query_get(&query, "e"));
    static const char *const wrong[] = { "a=%", "a=%4", "a=%zz", "a=%00", "a=%ff", "a=1&a=2", "%=1" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(query_parse(wrong[i], arena, &query, &err), RC_BAD_INPUT);
}

static void unknown_query_parameters_are_named(void **state)
{
    static const char *const known[] = { "status", "limit", NULL };
    struct query query;
    struct error err = { 0 };
    assert_int_equal(query_parse("stauts=paid", *state, &query, &err), RC_OK);
    assert_int_equal(query_only(&query, known, &err), RC_BAD_INPUT);
    assert_string_equal(err.field, "stauts");
    assert_non_null(strstr(err.text, "\"status\""));
}

/* ---- bodies */

struct line {
    const char *name;
    int64_t count;
};
struct body {
    const char *name, *note, *url, *object;
    int64_t number;
    struct spec_list lines, extras;
};
static const struct spec_field line_fields[] = {
    { .name = "name", .type = SPEC_TEXT, .required = true, .max = 5, .offset = offsetof(struct line, name) },
    { .name = "count", .type = SPEC_INTEGER, .low = 1, .high = 9, .offset = offsetof(struct line, count) },
};
static const struct spec line_spec = { line_fields, 2, sizeof(struct line), 0 };
static const struct spec_field body_fields[] = {
    { .name = "name", .type = SPEC_TEXT, .required = true, .max = 5, .offset = offsetof(struct body, name) },
    { .name = "note", .type = SPEC_LINES, .max = 9, .offset = offsetof(struct body, note) },
    { .name = "url", .type = SPEC_URL, .max = 40, .offset = offsetof(struct body, url) },
    { .name = "object", .type = SPEC_OBJECT, .max = 20, .offset = offsetof(struct body, object) },
    { .name = "number", .type = SPEC_INTEGER, .low = -5, .high = 5, .offset = offsetof(struct body, number) },
    { .name = "lines", .type = SPEC_LIST, .max = 2, .offset = offsetof(struct body, lines), .items = &line_spec },
};
static const struct spec body_spec = { body_fields, 6, sizeof(struct body), offsetof(struct body, extras) };
static const char *const extra_names[] = { "openid", "client_ip", NULL };

static enum rc parse(struct arena *arena, const char *text, struct body *ret, struct error *err)
{
    *ret = (struct body){ 0 };
    *err = (struct error){ 0 };
    return spec_parse(&body_spec, extra_names, text, strlen(text), arena, ret, err);
}

static void body_goes_where_the_spec_says(void **state)
{
    struct body body;
    struct error err;
    const char *text =
        "{\"name\":\"五个字的名\",\"note\":\"a\\nb\",\"url\":\"https://x/y\",\"object\":{ \"a\": [1, \"b\"] },"
        "\"number\":-5,\"lines\":[{\"name\":\"n\",\"count\":9},{\"name\":\"m\"}],\"openid\":\"o1\",\"client_ip\":null}";
    assert_int_equal(parse(*state, text, &body, &err), RC_OK);
    assert_string_equal(body.name, "五个字的名");
    assert_string_equal(body.note, "a\nb");
    assert_string_equal(body.url, "https://x/y");
    assert_string_equal(body.object, "{\"a\":[1,\"b\"]}");
    assert_int_equal(body.number, -5);
    const struct line *lines = body.lines.items;
    assert_int_equal(body.lines.count, 2);
    assert_string_equal(lines[1].name, "m");
    assert_int_equal(lines[0].count, 9);
    const struct spec_extra *extras = body.extras.items;
    assert_int_equal(body.extras.count, 1);
    assert_string_equal(extras[0].name, "openid");
    assert_string_equal(extras[0].value, "o1");
}

static void objects_stay_as_they_were_sent(void **state)
{
    static const struct {
        const char *text, *object;
    } cases[] = {
        { "{\"object\":{},\"name\":\"a\"}", "{}" },
        { " { \"name\" : \"a}\\\"\" , \"object\" : { \"a\" : 1.10 ,\n\"b c\":[ ] } } ", "{\"a\":1.10,\"b c\":[]}" },
        { "{\"name\":\"{\",\"number\":1,\"object\":{\"a\":\" \\\" \"}}", "{\"a\":\" \\\" \"}" },
        { "{\"lines\":[{\"name\":\"ob\"}],\"note\":\"\\\\\",\"object\":{\"object\":{}},\"name\":\"a\"}", "{\"object\":{}}" },
    };
    struct body body;
    struct error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (parse(*state, cases[i].text, &body, &err) != RC_OK)
            fail_msg("%s → %s: %s", cases[i].text, err.field, err.text);
        assert_string_equal(body.object, cases[i].object);
    }
    assert_int_equal(parse(*state, "{\"name\":\"a\",\"\\u006fbject\":{}}", &body, &err), RC_BAD_INPUT);
}

static void wrong_fields_are_named(void **state)
{
    static const struct {
        const char *text, *field, *says;
    } cases[] = {
        { "{}", "name", "missing" },
        { "{\"name\":null}", "name", "missing" },
        { "{\"name\":1}", "name", "string" },
        { "{\"name\":\"\"}", "name", "empty" },
        { "{\"name\":\"sechs!\"}", "name", "at most 5" },
        { "{\"name\":\"a\\nb\"}", "name", "control" },
        { "{\"name\":\"a\\u007f\"}", "name", "control" },
        { "{\"name\":\"a\",\"note\":\"\\u0001\"}", "note", "control" },
        { "{\"name\":\"a\",\"nmber\":1}", "nmber", "\"number\"" },
        { "{\"name\":\"a\",\"opneid\":\"x\"}", "opneid", "\"openid\"" },
        { "{\"name\":\"a\",\"qqqqqqqqq\":1}", "qqqqqqqqq", "unknown" },
        { "{\"name\":\"a\",\"number\":6}", "number", "-5 to 5" },
        { "{\"name\":\"a\",\"number\":1.0}", "number", "integer" },
        { "{\"name\":\"a\",\"number\":\"1\"}", "number", "integer" },
        { "{\"name\":\"a\",\"url\":\"ftp://x\"}", "url", "http" },
        { "{\"name\":\"a\",\"url\":\"https://\"}", "url", "http" },
        { "{\"name\":\"a\",\"url\":\"https://x/ y\"}", "url", "escape" },
        { "{\"name\":\"a\",\"url\":\"https://x/\\u4e00<\"}", "url", "escape" },
        { "{\"name\":\"a\",\"object\":[]}", "object", "object" },
        { "{\"name\":\"a\",\"object\":{\"a\":\"0123456789012345\"}}", "object", "20 bytes" },
        { "{\"name\":\"a\",\"lines\":{}}", "lines", "list" },
        { "{\"name\":\"a\",\"lines\":[{\"name\":\"b\"},{\"name\":\"b\"},{\"name\":\"b\"}]}", "lines", "at most 2" },
        { "{\"name\":\"a\",\"lines\":[1]}", "lines[0]", "object" },
        { "{\"name\":\"a\",\"lines\":[{\"name\":\"b\"},{}]}", "lines[1].name", "missing" },
        { "{\"name\":\"a\",\"lines\":[{\"name\":\"b\",\"cuont\":1}]}", "lines[0].cuont", "\"count\"" },
        { "{\"name\":\"a\",\"openid\":[]}", "openid", "string" },
    };
    struct body body;
    struct error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (parse(*state, cases[i].text, &body, &err) != RC_BAD_INPUT || strcmp(err.field, cases[i].field) != 0 ||
            !strstr(err.text, cases[i].says))
            fail_msg("%s → %s: %s", cases[i].text, err.field, err.text);
    }
}

static void what_is_not_one_json_object_is_refused_as_a_whole(void **state)
{
    static const char *const wrong[] = { "",
                                         " ",
                                         "{",
                                         "[]",
                                         "1",
                                         "\"x\"",
                                         "null",
                                         "{\"name\":\"a\"} x",
                                         "{\"name\":\"a\",\"name\":\"b\"}",
                                         "{\"name\":\"\\u0000\"}",
                                         "{\"name\":\"\xff\"}",
                                         "{'name':'a'}",
                                         "{\"name\":\"a\",}",
                                         "{\"number\":99999999999999999999}" };
    struct body body;
    struct error err;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (parse(*state, wrong[i], &body, &err) != RC_BAD_INPUT || err.field[0] || !err.text[0])
            fail_msg("%s → %s: %s", wrong[i], err.field, err.text);
    }
}

static void deeply_nested_bodies_are_refused(void **state)
{
    enum { DEPTH = 100000 };
    char *text = malloc(DEPTH + 1);
    struct body body;
    struct error err = { 0 };
    memset(text, '[', DEPTH);
    text[DEPTH] = '\0';
    assert_int_equal(spec_parse(&body_spec, NULL, text, DEPTH, *state, &body, &err), RC_BAD_INPUT);
    free(text);
}

/* ---- forwarded addresses */

static const char *client(const char *trusted, const char *peer, const char *forwarded)
{
    static char text[ADDRESS_TEXT_MAX];
    struct proxies *proxies;
    struct error err = { 0 };
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    const struct sockaddr *at = (struct sockaddr *) &local;
    if (inet_pton(AF_INET, peer, &v4.sin_addr) == 1)
        at = (struct sockaddr *) &v4;
    else if (inet_pton(AF_INET6, peer, &v6.sin6_addr) == 1)
        at = (struct sockaddr *) &v6;
    assert_int_equal(proxies_new(&trusted, trusted ? 1 : 0, &proxies, &err), RC_OK);
    proxies_client(proxies, at, forwarded, text);
    proxies_free(proxies);
    return text;
}

static void forwarded_addresses_count_only_from_trusted_proxies(void **state)
{
    (void) state;
    assert_string_equal(client(NULL, "198.51.100.7", "203.0.113.9"), "198.51.100.7");
    assert_string_equal(client("10.0.0.0/8", "198.51.100.7", "203.0.113.9"), "198.51.100.7");
    assert_string_equal(client("10.0.0.0/8", "10.1.2.3", NULL), "10.1.2.3");
    assert_string_equal(client("10.0.0.0/8", "10.1.2.3", "203.0.113.9"), "203.0.113.9");
    assert_string_equal(client("10.0.0.0/8", "10.1.2.3", "1.1.1.1, 203.0.113.9 , 10.9.9.9"), "203.0.113.9");
    assert_string_equal(client("10.0.0.0/8", "10.1.2.3", "10.0.0.1,10.0.0.2"), "10.0.0.1");
    assert_string_equal(client("10.0.0.0/8", "10.1.2.3", "203.0.113.9, unknown"), "10.1.2.3");
    assert_string_equal(client("10.0.0.0/8", "10.1.2.3", "<script>, 203.0.113.9"), "203.0.113.9");
    assert_string_equal(client("10.0.0.0/8", "10.1.2.3", ""), "10.1.2.3");
    assert_string_equal(client("10.0.0.0/8", "10.1.2.3", "203.0.113.9:4711"), "203.0.113.9");
    assert_string_equal(client("10.0.0.0/9", "10.128.0.1", "203.0.113.9"), "10.128.0.1");
    assert_string_equal(client("2001:db8::/33", "2001:db8:7fff::1", "[2001:db9::2]:80"), "2001:db9::2");
    assert_string_equal(client("2001:db8::/33", "2001:db8:8000::1", "203.0.113.9"), "2001:db8:8000::1");
    assert_string_equal(client("10.0.0.0/8", "::ffff:10.1.2.3", "203.0.113.9"), "203.0.113.9");
    assert_string_equal(client(NULL, "unix", "203.0.113.9"), "203.0.113.9");
    assert_string_equal(client(NULL, "unix", NULL), "");
}

static void wrong_proxy_settings_are_refused(void **state)
{
    (void) state;
    static const char *const wrong[] = {
        "", "10.0.0.0/", "10.0.0.0/33", "10.0.0", "proxy.example", "10.0.0.0/8x", "::/129", "/8"
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct proxies *proxies = NULL;
        struct error err = { 0 };
        assert_int_equal(proxies_new(&wrong[i], 1, &proxies, &err), RC_CONFIG);
        assert_null(proxies);
    }
}

/* ---- languages */

static void language_follows_the_browser(void **state)
{
    (void) state;
    static const struct {
        const char *header;
        enum language language;
    } cases[] = {
        { NULL, LANGUAGE_ZH },
        { "", LANGUAGE_ZH },
        { "fr", LANGUAGE_ZH },
        { "en", LANGUAGE_EN },
        { "en-US,en;q=0.9", LANGUAGE_EN },
        { "zh-CN,zh;q=0.9,en;q=0.8", LANGUAGE_ZH },
        { "fr,en;q=0.5,zh;q=0.3", LANGUAGE_EN },
        { "en;q=0", LANGUAGE_ZH },
        { "english", LANGUAGE_ZH },
        { "en ; q=0.2, ZH-tw ;q=0.21", LANGUAGE_ZH },
        { ",,;q=1,en", LANGUAGE_EN },
        { "en;q=", LANGUAGE_EN },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (language_choose(cases[i].header) != cases[i].language)
            fail_msg("%s", cases[i].header);
}

static int set_up(void **state)
{
    *state = arena_new(0);
    return 0;
}

static int tear_down(void **state)
{
    arena_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_match_whole_paths_and_one_segment),
        cmocka_unit_test(routes_of_the_other_side_do_not_exist),
        cmocka_unit_test(wrong_method_lists_the_right_ones),
        cmocka_unit_test_setup_teardown(query_is_decoded_and_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_query_parameters_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(body_goes_where_the_spec_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(objects_stay_as_they_were_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_fields_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_one_json_object_is_refused_as_a_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deeply_nested_bodies_are_refused, set_up, tear_down),
        cmocka_unit_test(forwarded_addresses_count_only_from_trusted_proxies),
        cmocka_unit_test(wrong_proxy_settings_are_refused),
        cmocka_unit_test(language_follows_the_browser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
