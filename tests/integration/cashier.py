"""The cashier without a browser: what a payer sends, and what stands in the pages that come back."""

import html.parser
import urllib.parse

import requests


class Page(html.parser.HTMLParser):
    """What stands in an answer: its forms, its links, the attributes of <main>, its text."""

    def __init__(self, answer):
        super().__init__()
        self.status, self.html = answer.status_code, answer.text
        self.forms, self.links, self.main, self.pictures, self.text = [], {}, {}, [], ""
        self._href = None
        self.feed(answer.text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "form":
            self.forms.append({"action": values["action"], "fields": {}})
        elif tag == "input":
            self.forms[-1]["fields"][values["name"]] = values["value"]
        elif tag == "main":
            self.main = values
        elif tag == "img":
            self.pictures.append(values["src"])
        elif tag == "a":
            self._href = values["href"]

    def handle_endtag(self, tag):
        if tag == "a":
            self._href = None

    def handle_data(self, data):
        self.text += data
        if self._href:
            self.links[data] = self._href

    @property
    def state(self):
        return self.main.get("data-state")

    @property
    def offers(self):
        return [(form["fields"]["channel"], form["fields"]["product"]) for form in self.forms]


class Cashier:
    """A payer's browser at the cashier of one order, without a screen."""

    def __init__(self, url, **headers):
        self.url, self.headers = url, {"Accept-Language": "en", **headers}

    def get(self, url=None, method="GET", **more):
        return requests.request(method, url or self.url, headers=self.headers, timeout=60, allow_redirects=False, **more)

    def open(self, url=None):
        return Page(self.get(url))

    def press(self, channel, product, **fields):
        """POSTs what the button posts; the answer."""
        order, _, signature = self.url.partition("?k=")
        body = {"k": signature, "channel": channel, "product": product, **fields}
        return requests.post(order + "/pay", data=body, headers=self.headers, timeout=60, allow_redirects=False)

    def choose(self, channel, product):
        """Presses and follows: (the page, its pay_no)."""
        answer = self.press(channel, product)
        assert answer.status_code == 303, f"{answer.status_code} {answer.text}"
        url = urllib.parse.urljoin(answer.url, answer.headers["Location"])
        return self.open(url), urllib.parse.parse_qs(urllib.parse.urlsplit(url).query).get("pay", [None])[0]

    def at(self, pay_no):
        return self.open(f"{self.url}&pay={pay_no}")

    def status(self, pay_no=None):
        order, _, query = self.url.partition("?")
        answer = self.get(f"{order}/status?{query}" + (f"&pay={pay_no}" if pay_no else ""))
        assert answer.status_code == 200, answer.text
        return answer.json()
