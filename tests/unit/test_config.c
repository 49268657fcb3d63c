/*
 * config_load: what a sound configuration comes to, and each fault that the server's own sections can have.
 */
#include "unit.h"

#include <stdio.h>

#include "config/config.h"
#include "plugin/registry.h"
#include "scratch.h"

#define HASH_A "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define HASH_B "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"

static struct faults faults;
static struct config *config;

static enum rc load(const char *text)
{
    config_free(config);
    config = NULL;
    faults_free(&faults);
    return config_load(scratch_write("test.conf", 0600, text), &faults, &config);
}

/* `sections` behind a [server] of three lines, so that they begin at line 4. */
static enum rc load_with(const char *server_line, const char *sections)
{
    char text[8192];
    snprintf(text, sizeof text, "[server]\nplugin_dir = ${PN_TEST_PLUGINS}\n%s\n%s", server_line, sections);
    return load(text);
}

#define URL "public_url = https://pay.example.com"

static void expect_fault(const char *server_line, const char *sections, int line, const char *what)
{
    char at[32];
    assert_int_equal(load_with(server_line, sections), RC_CONFIG);
    assert_null(config);
    snprintf(at, sizeof at, "test.conf:%d: ", line);
    if (faults.count != 1 || !strstr(buf_text(&faults.text), at) || !strstr(buf_text(&faults.text), what))
        fail_msg("wanted one fault \"%s%s\", found:\n%s", at, what, buf_text(&faults.text));
}

static void a_sound_configuration_comes_out_typed(void **state)
{
    (void) state;
    enum rc rc = load_with("public_url = https://pay.example.com//",
                           "public_listen = 0.0.0.0:80, [::]:80, unix:/run/x.sock\ntrusted_proxies = 10.0.0.0/8, ::1\nlog_level = debug\n"
                           "log_format = json\norder_expiry = 2h\n"
                           "[store]\nurl = sqlite:books/pay.db\n"
                           "[app learning]\nkey_sha256 = " HASH_A "\nchannels = main\nlate_payment = accept\n"
                           "[app desk]\nkey_sha256_file = nothing\n");
    assert_int_equal(rc, RC_CONFIG); /* a list is not read from a file */
    rc = load_with("public_url = https://pay.example.com//",
                   "public_listen = 0.0.0.0:80, [::]:80, unix:/run/x.sock\ntrusted_proxies = 10.0.0.0/8, ::1\nlog_level = debug\n"
                   "log_format = json\norder_expiry = 2h\n"
                   "[store]\nurl = sqlite:books/pay.db\n"
                   "[app learning]\nkey_sha256 = " HASH_A "\nchannels = main\nlate_payment = accept\n"
                   "[app desk]\nkey_sha256 = ${PN_TEST_HASH}\nrole = operator\n"
                   "[channel main]\nplugin = good-channel\napp_id = 1\ntimeout = 3s\n"
                   "[sink file]\nplugin = good-sink\npath = ${PN_TEST_EVENTS}\nevents = payment.succeeded\napps = learning, desk\n"
                   "order_types = 60201\nformat = provider\npaused = yes\n");
    if (rc)
        fail_msg("%s", buf_text(&faults.text));
    assert_string_equal(config->server.public_url, "https://pay.example.com");
    assert_int_equal(config->server.public_listen_count, 3);
    assert_string_equal(config->server.api_listen[0], "127.0.0.1:8081");
    assert_int_equal(config->server.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(config->server.log_format, LOG_JSON);
    assert_int_equal(config->server.order_expiry_ms, 7200000);
    assert_int_equal(config->server.notify_deadline_ms, 4000);
    assert_true(config->server.http_threads >= 1 && config->server.http_threads <= 4);
    assert_non_null(strstr(config->server.node_name, "127.0.0.1:8081"));
    assert_non_null(strstr(config->store.url, "/books/pay.db"));
    assert_non_null(strstr(config->server.link_key_file, "/books/link.key"));
    const struct config_app *app = config_app_find(config, "learning");
    assert_int_equal(app->role, ROLE_APP);
    assert_int_equal(app->late_payment, LATE_ACCEPT);
    assert_int_equal(app->key_count, 1);
    assert_int_equal(app->key_sha256[0][0], 0x9f);
    assert_true(config_app_may_use(app, "main"));
    assert_false(config_app_may_use(app, "other"));
    assert_true(config_app_may_use(config_app_find(config, "desk"), "other"));
    assert_int_equal(config_app_find(config, "desk")->key_count, 2);
    assert_null(config_app_find(config, "nobody"));
    assert_int_equal(config_channel_find(config, "main")->timeout_ms, 3000);
    assert_string_equal(channel_name(config_channel_find(config, "main")->channel), "main");
    assert_null(config_channel_find(config, "other"));
    assert_int_equal(config->sinks[0].format, FORMAT_PROVIDER);
    assert_true(config->sinks[0].paused);
    assert_string_equal(config->sinks[0].apps[1], "desk");
    assert_string_equal(config->sinks[0].order_types[0], "60201");
    assert_non_null(config->sinks[0].plugin);
}

static void the_password_of_the_store_is_not_shown(void **state)
{
    (void) state;
    assert_int_equal(load_with(URL, "[store]\nurl = postgresql://pay:s:e@c@db1,db2/books?application_name=x\n"), RC_OK);
    assert_null(strstr(config->store.shown_url, "s:e@c"));
    assert_string_equal(config->store.shown_url, "postgresql://pay:***@db1,db2/books?application_name=x");
    assert_int_equal(load_with(URL, "[store]\nurl = postgresql://db1/books?user=pay&password=sec\n"), RC_OK);
    assert_null(strstr(config->store.shown_url, "sec"));
    scratch_write("url", 0600, "postgresql://db1/books\n");
    assert_int_equal(load_with(URL, "[store]\nurl_file = url\n"), RC_OK);
    assert_string_equal(config->store.url, "postgresql://db1/books");
    expect_fault(URL, "[store]\nurl = mysql://pay:sec@db1/books\n", 5, "[store] url: wanted sqlite:PATH or postgresql://");
    assert_null(strstr(buf_text(&faults.text), "sec@"));
}

static void faults_of_the_server_section_are_named(void **state)
{
    (void) state;
    expect_fault("workers = 3", "", 1, "[server] missing key \"public_url\"");
    expect_fault("public_ulr = https://x", "", 3, "did you mean \"public_url\"?");
    expect_fault("public_url = pay.example.com", "", 3, "[server] public_url: wanted an absolute URL");
    expect_fault("public_url = ftp://pay.example.com", "", 3, "http|https");
    expect_fault("public_url = https://pay.example.com/?x", "", 3, "plain URL");
    expect_fault(URL, "public_listen = 0.0.0.0\n", 4, "[server] public_listen: wanted an address and a port");
    expect_fault(URL, "public_listen = 0.0.0.0:0\n", 4, "wanted an address");
    expect_fault(URL, "public_listen = 0.0.0.0:65536\n", 4, "wanted an address");
    expect_fault(URL, "public_listen = 300.0.0.0:80\n", 4, "wanted an address");
    expect_fault(URL, "public_listen = [::1:80\n", 4, "wanted an address");
    expect_fault(URL, "public_listen = ::1:80\n", 4, "wanted an address");
    expect_fault(URL, "public_listen = unix:relative\n", 4, "wanted an address");
    expect_fault(URL, "public_listen = 127.0.0.1:8081\n", 1, "127.0.0.1:8081 is also in public_listen");
    expect_fault(URL, "public_listen = 0.0.0.0:80, 0.0.0.0:80\n", 4, "stands twice");
    expect_fault(URL, "trusted_proxies = 10.0.0.0/33\n", 4, "wanted an address or a network");
    expect_fault(URL, "trusted_proxies = proxy.local\n", 4, "wanted an address or a network");
    expect_fault(URL, "log_level = loud\n", 4, "wanted one of error, warn");
    expect_fault(URL, "workers = 0\n", 4, "wanted 1 to 256");
    expect_fault(URL, "ca_file = missing.pem\n", 4, "[server] ca_file: cannot read ");
}

static void faults_of_sections_are_named(void **state)
{
    (void) state;
    expect_fault(URL, "[chanel main]\n", 4, "unknown section [chanel main]; did you mean [channel …]?");
    expect_fault(URL, "[something]\n", 4, "there are [server], [store]");
    expect_fault(URL, "[store main]\n", 4, "takes no name");
    expect_fault(URL, "[app]\n", 4, "[app] wanted a name");
    expect_fault(URL, "[sink Shop]\n", 4, "wanted a name of 1 to 32 lower-case letters");
    expect_fault(URL, "[channel a/b]\n", 4, "wanted a name");
}

static void faults_of_apps_are_named(void **state)
{
    (void) state;
    expect_fault(URL, "[app a]\n", 4, "[app a] missing key \"key_sha256\"");
    expect_fault(URL, "[app a]\nkey_sha256 = abc\n", 5, "wanted 64 hex digits");
    expect_fault(URL, "[app a]\nkey_sha256 = " HASH_A "\nrole = root\n", 6, "wanted one of app, operator");
    expect_fault(URL, "[app a]\nkey_sha256 = " HASH_A "\n[app b]\nkey_sha256 = " HASH_A "\n", 7, "[app a] has the same key");
    expect_fault(URL, "[app a]\nkey_sha256 = ${PN_TEST_HASH_TWICE}\n", 5, "[app a] has the same key");
    expect_fault(URL, "[app a]\nkey_sha256 = ${PN_TEST_HASHES_THREE}\n", 5, "wanted one hash, or two");
    expect_fault(URL, "[app a]\nkey_sha256 = " HASH_A "\nchannels = mian\n[channel main]\nplugin = good-channel\napp_id = 1\n", 6,
                 "there is no [channel mian]; did you mean \"main\"?");
}

static void faults_of_channels_and_sinks_are_named(void **state)
{
    (void) state;
    expect_fault(URL, "[channel a]\napp_id = 1\n", 4, "[channel a] missing key \"plugin\"");
    expect_fault(URL, "[channel a]\nplugin = god-channel\napp_id = 1\n", 5, "did you mean \"good-channel\"?");
    expect_fault(URL, "[channel a]\nplugin = good-sink\n", 5, "is a sink plugin (wanted a channel plugin)");
    expect_fault(URL, "[channel a]\nplugin = good-channel\napp_id = 1\ntimeout = 1x\n", 7, "wanted a duration");
    expect_fault(URL, "[channel a]\nplugin = good-channel\nappid = 1\n", 6, "[channel a] unknown key \"appid\"; did you mean \"app_id\"?");
    expect_fault(URL, "[channel a]\nplugin = good-channel\napp_id = bad\n", 6, "[channel a] app_id: the merchant's number is bad");
    expect_fault(URL, "[sink s]\nplugin = good-sink\npath = ${PN_TEST_EVENTS}\nformat = xml\n", 7, "wanted one of mqmessage, provider");
    expect_fault(URL, "[sink s]\nplugin = good-sink\npath = ${PN_TEST_EVENTS}\nformat = cloudevents\n", 7, "does not write cloudevents");
    expect_fault(URL, "[sink s]\nplugin = good-sink\npath = ${PN_TEST_EVENTS}\nevents = payment.succeded\n", 7, "did you mean \"payment.succeeded\"?");
    expect_fault(URL, "[sink s]\nplugin = good-sink\npath = ${PN_TEST_EVENTS}\nevents = payment.late\n", 7, "take every message as paid; remove payment.late");
    expect_fault(URL, "[sink s]\nplugin = good-sink\npath = ${PN_TEST_EVENTS}\napps = nobody\n", 7, "there is no [app nobody]");
}

static void all_faults_are_said_at_once(void **state)
{
    (void) state;
    assert_int_equal(load("[server]\nworkers = x\nnonsense\n[app a]\nrole = x\n[channel c]\nplugin = none\n[sink s]\nformat = y\nplugin = z\n"),
                     RC_CONFIG);
    assert_int_equal(faults.count, 7);
    static const char *const wanted[] = { ":2: [server] workers", ":3: wanted key", ":1: [server] missing key \"public_url\"",
                                          ":5: [app a] role", ":4: [app a] missing key", ":7: [channel c] plugin", ":9: [sink s] format" };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!strstr(buf_text(&faults.text), wanted[i]))
            fail_msg("no \"%s\" in:\n%s", wanted[i], buf_text(&faults.text));
}

static int set_up(void **state)
{
    (void) state;
    scratch_make();
    setenv("PN_TEST_PLUGINS", test_plugin_dir(), 1);
    setenv("PN_TEST_EVENTS", scratch_path("events"), 1);
    setenv("PN_TEST_HASH", "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752, "
                           "0000000000000000000000000000000000000000000000000000000000000001", 1);
    setenv("PN_TEST_HASH_TWICE", HASH_A ", " HASH_A, 1);
    setenv("PN_TEST_HASHES_THREE", HASH_A ", " HASH_B ", 0000000000000000000000000000000000000000000000000000000000000001", 1);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    config_free(config);
    faults_free(&faults);
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_configuration_comes_out_typed),
        cmocka_unit_test(the_password_of_the_store_is_not_shown),
        cmocka_unit_test(faults_of_the_server_section_are_named),
        cmocka_unit_test(faults_of_sections_are_named),
        cmocka_unit_test(faults_of_apps_are_named),
        cmocka_unit_test(faults_of_channels_and_sinks_are_named),
        cmocka_unit_test(all_faults_are_said_at_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
