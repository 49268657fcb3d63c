"""An order's name and description may hold any character: the channel plugin replaces what Alipay forbids, and the sandbox,
which checks by its own reading of the protocol, takes every one of them."""

NAMES = ["a/b=c&d", "/", "-", "&quot;&copy;<x>'\"", "&times;&not", "+ %2B %", "a\\b", "  x  ", "\u202e x", "测" * 128,
         "a" * 256, "😀" * 64, "e\u0301" * 128, "ﷺ</script><script>alert(1)</script>"]


def test_every_name_is_taken_by_the_provider(make_server, sandbox, pay_page, submit):
    server = make_server().start()
    for number, name in enumerate(NAMES):
        order = server.order(f"n-{number}", name=name, description="of " + name, channel="alipay")
        page = submit(pay_page(order["pay_url"]))
        assert page.status_code == 200, (name, page.text)
        trade = sandbox.trade(order["pay_no"])
        assert trade["subject"] and not set("/=&") & set(trade["subject"] + trade["body"])
        code = server.payment(order["order_id"], product="precreate")["code_url"]
        assert code.startswith(sandbox.url), name
