"""What a payer's browser makes of a pay page: the form or the link in it, with every value unescaped."""

import html.parser


class PayForm(html.parser.HTMLParser):
    """action, method and fields of the page's one form; text is the page."""

    def __init__(self, answer):
        super().__init__()
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        self.text, self.action, self.method, self.fields = answer.text, None, None, {}
        self.feed(answer.text)
        assert self.action, f"no form: {answer.text}"

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "form":
            assert self.action is None, "more than one form"
            self.action, self.method = values["action"], values.get("method", "get")
        elif tag == "input" and "name" in values:
            self.fields[values["name"]] = values.get("value") or ""


class PayLink(html.parser.HTMLParser):
    """href of the page's one link, and the Referer that a browser sends along when it follows it."""

    def __init__(self, answer):
        super().__init__()
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        self.href = None
        self.feed(answer.text)
        assert self.href, f"no link: {answer.text}"
        origin = "/".join(answer.url.split("/")[:3]) + "/"
        policies = {"origin": origin, "strict-origin": origin, "strict-origin-when-cross-origin": origin, "no-referrer": None}
        self.referer = policies[answer.headers["Referrer-Policy"]]

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            assert self.href is None, "more than one link"
            self.href = dict(attributes)["href"]
