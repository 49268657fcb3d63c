#!/usr/bin/env python3
"""A payer's browser in miniature, for tools/quickstart.sh: opens a pay link, submits the form in it as the page would by
itself, and presses Pay on the page that the provider answers with. Nothing but the standard library."""

import html.parser
import sys
import urllib.error
import urllib.parse
import urllib.request


class Forms(html.parser.HTMLParser):
    """All forms of a page: (action, fields)."""

    def __init__(self, page):
        super().__init__()
        self.forms = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "form":
            self.forms.append((values["action"], {}))
        elif tag == "input" and "name" in values and self.forms:
            self.forms[-1][1][values["name"]] = values.get("value") or ""


def fetch(url, fields=None):
    """(final URL, page). Fields make it a POST."""
    data = urllib.parse.urlencode(fields).encode() if fields is not None else None
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:
        return answer.url, answer.read().decode()


def main(pay_url):
    url, page = fetch(pay_url)
    action, fields = Forms(page).forms[0]
    print(f"  GET  {pay_url.partition('?')[0]}: a signed form with {len(fields)} hidden fields")
    url, page = fetch(urllib.parse.urljoin(url, action), fields)
    print(f"  POST {action.partition('?')[0]}: the provider checked the signature and shows its cashier")
    action, fields = next(form for form in Forms(page).forms if form[0].endswith("/pay"))
    fetch(urllib.parse.urljoin(url, action), fields)
    print(f"  POST {urllib.parse.urljoin(url, action)}: paid")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.url} answered {error.code}: {error.read().decode(errors='replace')[:500]}")
    except (OSError, IndexError, StopIteration) as error:
        sys.exit(f"the payment failed: {error!r}")
