/*
 * The cashier without a server: which products it offers, and what its page says in each state. All pure.
 */
#include "unit/unit.h"

#include "base/buf.h"
#include "http/assets.h"
#include "http/cashier_view.h"
#include "pay/internal.h"
#include "plugin/internal.h"

static struct arena *arena;

/* ---- channels that do nothing */

static int open_channel(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state)
{
    (void) settings, (void) host, (void) call;
    *ret_state = NULL;
    return PN_OK;
}

#define PRODUCT(kind, name, params, currencies) { sizeof(struct pn_product), (kind), (name), name "-zh", name "-en", (params), (currencies) }

static const struct pn_product table[] = {
    PRODUCT(PN_PREPAY_CODE_URL, "code", NULL, "CNY|USD"),
    PRODUCT(PN_PREPAY_FORM, "form", "", "CNY"),
    PRODUCT(PN_PREPAY_REDIRECT, "redirect", "client_ip", "CNY"),
    PRODUCT(PN_PREPAY_REDIRECT, "redirect_free", NULL, "CNY"),
    PRODUCT(PN_PREPAY_APP_PARAMS, "app", NULL, "CNY"),
    PRODUCT(PN_PREPAY_CODE_URL, "known", "openid", "CNY"),
    PRODUCT(PN_PREPAY_CODE_URL, "known_too", "openid|client_ip", "CNY"),
    PRODUCT(PN_PREPAY_NONE, "nothing", NULL, "CNY"),
    PRODUCT(PN_PREPAY_CODE_URL, "elsewhere", NULL, "EUR|CNYX"),
};
static const struct pn_product *products[] = { &table[0], &table[1], &table[2], &table[3], &table[4],
                                               &table[5], &table[6], &table[7], &table[8], NULL };
static struct plugin plugin = { .products = products, .channel = { .open = open_channel } };
static struct config_channel channels[] = { { .name = "first" }, { .name = "second" } };
static const char *const only_second[] = { "second" };
static struct config_app apps[] = { { .name = "all" }, { .name = "some", .channels = only_second, .channel_count = 1 } };
static const struct config config = { .apps = apps, .app_count = 2, .channels = channels, .channel_count = 2 };

/* "first/code first/form …" */
static void assert_offered(const char *app, const char *currency, const char *client_ip, const char *expected)
{
    const struct order order = { .app = app, .currency = currency };
    struct cashier_choice *choices;
    size_t count;
    struct error err = { 0 };
    struct buf shown = { 0 };
    assert_int_equal(cashier_choices(&config, &order, client_ip, arena, &choices, &count, &err), RC_OK);
    for (size_t i = 0; i < count; i++)
        buf_addf(&shown, "%s%s/%s", i ? " " : "", choices[i].channel, choices[i].product->name);
    assert_string_equal(buf_text(&shown), expected);
    buf_free(&shown);
}

static void products_are_offered_that_a_browser_can_use(void **state)
{
    (void) state;
    assert_offered("some", "CNY", "1.2.3.4", "second/code second/form second/redirect second/redirect_free");
    assert_offered("all", "USD", "1.2.3.4", "first/code second/code");
}

static void products_that_need_an_address_need_one(void **state)
{
    (void) state;
    assert_offered("some", "CNY", "", "second/code second/form second/redirect_free");
    assert_offered("some", "CNY", NULL, "second/code second/form second/redirect_free");
}

static void currencies_and_apps_that_nobody_knows_are_offered_nothing(void **state)
{
    (void) state;
    assert_offered("all", "CN", "1.2.3.4", "");
    assert_offered("all", "", "1.2.3.4", "");
    assert_offered("gone", "CNY", "1.2.3.4", "");
}

static void an_attempt_fits_the_address_that_it_was_made_for(void **state)
{
    (void) state;
    static const char for_one[] = "{\"kind\":0,\"fields\":[[\"client_ip\",\"1.2.3.4\"]]}";
    static const struct {
        const char *params, *client_ip;
        bool fits;
    } cases[] = {
        { for_one, "1.2.3.4", true }, { for_one, "1.2.3.5", false }, { for_one, "", false },
        { for_one, NULL, false },     { NULL, NULL, true },          { "{\"kind\":0}", "1.2.3.4", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(cashier_fits_address(&(struct pay_record){ .params = cases[i].params }, cases[i].client_ip, arena),
                         cases[i].fits);
}

static void only_keys_of_the_cashier_s_shape_are_the_cashier_s(void **state)
{
    (void) state;
    static const struct {
        const char *key;
        bool is_ours;
    } cases[] = {
        { "cashier:0", true },   { "cashier:12", true },  { "cashier:", false },  { "cashier", false },
        { "cashier:-1", false }, { "cashier:1x", false }, { "cashier: 1", false }, { NULL, false },
        { "Cashier:1", false },  { "cashier:99999999999999999999", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(cashier_made(&(struct pay_record){ .idempotency_key = cases[i].key }), cases[i].is_ours);
}

static void what_a_provider_made_grows_old_and_a_form_does_not(void **state)
{
    (void) state;
    enum { MINUTE = 60 * 1000, NOW = 1000 * MINUTE };
    static const struct {
        enum pn_prepay_kind kind;
        int64_t made_at;
        bool fresh;
    } cases[] = {
        { PN_PREPAY_REDIRECT, NOW - 4 * MINUTE + 1, true },
        { PN_PREPAY_REDIRECT, NOW - 4 * MINUTE, false },
        { PN_PREPAY_REDIRECT, 0, false },
        { PN_PREPAY_CODE_URL, NOW - 110 * MINUTE + 1, true },
        { PN_PREPAY_CODE_URL, NOW - 110 * MINUTE, false },
        { PN_PREPAY_CODE_URL, 0, true }, /* nobody noted when */
        { PN_PREPAY_FORM, 1, true },
        { PN_PREPAY_APP_PARAMS, NOW - 110 * MINUTE + 1, true },
        { PN_PREPAY_APP_PARAMS, NOW - 110 * MINUTE, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(prepay_is_fresh(&(struct prepay){ .kind = cases[i].kind, .made_at = cases[i].made_at }, NOW), cases[i].fresh);
}

static void what_is_kept_is_read_back(void **state)
{
    (void) state;
    struct pn_kv field = { { "a", 1 }, { "\"<\xe4\xb8\x80", 5 } };
    struct pn_result result = { .prepay_kind = PN_PREPAY_REDIRECT, .url = { "https://x/?a=\"b\"", 16 }, .prepay_fields = { &field, 1 } };
    struct prepay back;
    struct error err = { 0 };
    assert_int_equal(prepay_read(prepay_write(&result, 17, arena), arena, &back, &err), RC_OK);
    assert_int_equal(back.made_at, 17);
    assert_string_equal(back.url, "https://x/?a=\"b\"");
    assert_string_equal(back.fields[0].value, "\"<\xe4\xb8\x80");
    result.prepay_kind = PN_PREPAY_FORM; /* these do not grow old */
    assert_int_equal(prepay_read(prepay_write(&result, 17, arena), arena, &back, &err), RC_OK);
    assert_int_equal(back.made_at, 0);
}

/* ---- the page */

static struct cashier_choice two[] = { { "first", &table[0] }, { "first", &table[1] } };

static struct cashier_page page_in(enum cashier_state state)
{
    struct cashier_page page = {
        .state = state,
        .order = { .order_id = 42, .out_business_id = "b1", .name = "course", .amount_minor = 8880, .currency = "CNY" },
        .choices = two,
        .choice_count = 2,
        .left_ms = 90500,
    };
    if (state != CASHIER_CHOICE) {
        page.view = (struct payment_view){ .record = { .pay_no = 7 }, .pay_url = "https://pay.example/pay/7?k=a&x" };
        page.chosen = two[0];
    }
    return page;
}

static const char *view(const struct cashier_page *shown, enum language language)
{
    struct page page;
    cashier_view(&page, shown, "aa-bb", language, arena);
    const char *html = arena_strdup(arena, buf_text(&page.html));
    buf_free(&page.html);
    return html;
}

static const char *view_in(enum cashier_state state, enum language language)
{
    const struct cashier_page shown = page_in(state);
    return view(&shown, language);
}

static size_t count_of(const char *html, const char *text)
{
    size_t count = 0;
    for (const char *at = html; (at = strstr(at, text)); at += strlen(text))
        count++;
    return count;
}

static void every_state_has_its_words_in_both_languages(void **state)
{
    (void) state;
    for (enum cashier_state s = CASHIER_CHOICE; s <= CASHIER_CLOSED; s++) {
        const char *zh = view_in(s, LANGUAGE_ZH), *en = view_in(s, LANGUAGE_EN);
        assert_non_null(strstr(zh, "<html lang=\"zh\">"));
        assert_non_null(strstr(en, "<html lang=\"en\">"));
        assert_string_not_equal(zh, en);
        const char *marked = arena_printf(arena, "data-state=\"%s\"", cashier_state_name(s));
        assert_int_equal(count_of(zh, marked), 1);
        assert_int_equal(count_of(en, "<h1>"), 1);
        assert_true(cashier_http_status(s) >= 200);
        for (const char *c = en; *c; c++) /* nothing Chinese slips into the English page */
            assert_false((unsigned char) *c == 0xe4 || (unsigned char) *c == 0xe6);
    }
}

static void nothing_is_inline_and_nothing_comes_from_elsewhere(void **state)
{
    (void) state;
    for (enum cashier_state s = CASHIER_CHOICE; s <= CASHIER_CLOSED; s++) {
        const char *html = view_in(s, LANGUAGE_EN);
        assert_int_equal(count_of(html, "<script"), 1);
        assert_int_equal(count_of(html, "<script src=\"cashier.js?v="), 1);
        assert_int_equal(count_of(html, "<link rel=\"stylesheet\" href=\"cashier.css?v="), 1);
        assert_null(strstr(html, "style="));
        assert_null(strstr(html, "\" on")); /* a handler as an attribute */
        assert_null(strstr(html, "javascript:"));
    }
}

static void texts_from_outside_are_escaped(void **state)
{
    (void) state;
    struct cashier_page shown = page_in(CASHIER_CHOICE);
    static const char nasty[] = "</main><script>\"'&<img onerror=x>";
    static const struct pn_product odd = PRODUCT(PN_PREPAY_CODE_URL, "odd", NULL, "CNY");
    struct pn_product named = odd;
    named.label_zh = named.label_en = nasty;
    struct cashier_choice choice = { nasty, &named }, other = { nasty, NULL };
    shown.order.name = shown.order.description = shown.order.out_business_id = shown.order.return_url = nasty;
    shown.choices = &choice, shown.choice_count = 1;
    shown.others = &other, shown.other_count = 1;
    const char *html = view(&shown, LANGUAGE_EN);
    assert_null(strstr(html, "</main>"));
    assert_null(strstr(html, "<img"));
    assert_int_equal(count_of(html, "<script"), 1);
    assert_int_equal(count_of(html, "&lt;/main&gt;&lt;script&gt;&quot;&#39;&amp;&lt;img onerror=x&gt;"), 7);
}

static void choices_are_forms_with_the_signature(void **state)
{
    (void) state;
    const char *html = view_in(CASHIER_CHOICE, LANGUAGE_ZH);
    assert_int_equal(count_of(html, "<form method=\"post\" action=\"42/pay\"><input type=\"hidden\" name=\"k\" value=\"aa-bb\">"), 2);
    assert_non_null(strstr(html, ">code-zh</button>"));
    assert_null(strstr(html, "first</button>"));
}

static void equal_labels_are_told_apart_by_their_channels(void **state)
{
    (void) state;
    struct cashier_page shown = page_in(CASHIER_CHOICE);
    struct cashier_choice same[] = { { "first", &table[0] }, { "second", &table[0] }, { "second", &table[1] } };
    shown.choices = same, shown.choice_count = 3;
    const char *html = view(&shown, LANGUAGE_EN);
    assert_non_null(strstr(html, ">code-en · first</button>"));
    assert_non_null(strstr(html, ">code-en · second</button>"));
    assert_non_null(strstr(html, ">form-en</button>"));
}

static void an_open_attempt_shows_its_code_or_its_link(void **state)
{
    (void) state;
    struct cashier_page shown = page_in(CASHIER_OPEN);
    const char *link = view(&shown, LANGUAGE_EN);
    assert_int_equal(count_of(link, "<img"), 1);
    assert_non_null(strstr(link, "href=\"https://pay.example/pay/7?k=a&amp;x\""));
    assert_non_null(strstr(link, "data-status=\"42/status?k=aa-bb&amp;pay=7\""));
    assert_non_null(strstr(link, "<noscript><meta http-equiv=\"refresh\""));
    shown.view.code_url = "weixin://code";
    const char *code = view(&shown, LANGUAGE_EN);
    assert_int_equal(count_of(code, "<img"), 1);
    assert_null(strstr(code, "pay/7?k"));
    shown.view.code_url = NULL, shown.view.pay_url = NULL; /* it has expired a moment ago */
    assert_int_equal(count_of(view(&shown, LANGUAGE_EN), "<img"), 0);
}

static void other_attempts_are_warned_of_once_each(void **state)
{
    (void) state;
    struct cashier_page shown = page_in(CASHIER_OPEN);
    struct cashier_choice others[] = { { "first", &table[1] }, { "first", &table[0] }, { "second", &table[1] }, { "gone", NULL } };
    assert_null(strstr(view(&shown, LANGUAGE_EN), "role=\"alert\""));
    shown.others = others, shown.other_count = 4;
    assert_non_null(strstr(view(&shown, LANGUAGE_EN), "role=\"alert\">What you chose before (<bdi>form-en, code-en, gone</bdi>)"));
}

static void the_clock_starts_at_the_server_s_time(void **state)
{
    (void) state;
    struct cashier_page shown = page_in(CASHIER_CHOICE);
    static const struct {
        int64_t left_ms;
        const char *clock, *seconds;
    } cases[] = {
        { 90500, ">01:31</span>", "data-left=\"91\"" },
        { 1, ">00:01</span>", "data-left=\"1\"" },
        { 3600000, ">1:00:00</span>", "data-left=\"3600\"" },
        { INT64_C(30) * 24 * 3600000, ">720:00:00</span>", "data-left=\"2592000\"" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        shown.left_ms = cases[i].left_ms;
        const char *html = view(&shown, LANGUAGE_EN);
        assert_non_null(strstr(html, cases[i].clock));
        assert_non_null(strstr(html, cases[i].seconds));
    }
    shown.left_ms = 0;
    assert_null(strstr(view(&shown, LANGUAGE_EN), "id=\"clock\""));
}

static void the_way_back_leads_to_the_shop(void **state)
{
    (void) state;
    for (enum cashier_state s = CASHIER_CHOICE; s <= CASHIER_CLOSED; s++) {
        struct cashier_page shown = page_in(s);
        assert_null(strstr(view(&shown, LANGUAGE_EN), "Back to the shop"));
        shown.order.return_url = "https://shop.example/?a=1&b=2";
        assert_non_null(strstr(view(&shown, LANGUAGE_EN), "href=\"https://shop.example/?a=1&amp;b=2\">Back to the shop"));
    }
}

static void files_are_found_by_name_with_a_version_of_their_content(void **state)
{
    (void) state;
    const char *css_version, *js_version, *nothing = "untouched";
    const char *css = asset_find("cashier.css", &css_version), *js = asset_find("cashier.js", &js_version);
    assert_non_null(strstr(css, "@media"));
    assert_non_null(strstr(js, "'use strict'"));
    assert_null(strstr(js, "http"));
    assert_null(strstr(css, "url("));
    assert_int_equal(strlen(css_version), 16);
    assert_string_not_equal(css_version, js_version);
    assert_string_equal(asset_url("cashier.js", arena), arena_printf(arena, "cashier.js?v=%s", js_version));
    assert_null(asset_find("cashier.html", &nothing));
    assert_string_equal(nothing, "untouched");
    assert_null(asset_url("", arena));
}

static int set_up(void **state)
{
    (void) state;
    arena = arena_new(0);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(products_are_offered_that_a_browser_can_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(products_that_need_an_address_need_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(currencies_and_apps_that_nobody_knows_are_offered_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_attempt_fits_the_address_that_it_was_made_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_keys_of_the_cashier_s_shape_are_the_cashier_s, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_provider_made_grows_old_and_a_form_does_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_kept_is_read_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_state_has_its_words_in_both_languages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_inline_and_nothing_comes_from_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_from_outside_are_escaped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(choices_are_forms_with_the_signature, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equal_labels_are_told_apart_by_their_channels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_open_attempt_shows_its_code_or_its_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_attempts_are_warned_of_once_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_clock_starts_at_the_server_s_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_way_back_leads_to_the_shop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_are_found_by_name_with_a_version_of_their_content, set_up, tear_down),
    };
    struct error err = { 0 };
    for (size_t i = 0; i < 2; i++)
        if (channel_open(&plugin, channels[i].name, NULL, &channels[i].channel, &err) != RC_OK)
            return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < 2; i++)
        channel_close(channels[i].channel);
    return failed;
}
