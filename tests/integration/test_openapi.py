"""doc/openapi.yaml against the server: the same routes, the same fields, and every live answer fits its schema."""

import base64
import os
import re
import subprocess

import pytest
import yaml

from paynotifyd import command
from schema import Checker, Mismatch

SOURCE = os.environ.get("PN_SRCDIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document():
    with open(os.path.join(SOURCE, "doc", "openapi.yaml"), encoding="utf-8") as file:
        return yaml.safe_load(file)


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def role_of(operation):
    if not operation["security"]:
        return "anyone"
    return operation["security"][0]["key"][0] if operation["security"][0]["key"] else "app"


class Talk:
    """Asks the server and holds each answer against the document."""

    def __init__(self, document, server):
        self.document, self.server, self.checker = document, server, Checker(document)
        self.seen = set()

    def __call__(self, status, method, path, body=None, query="", app="learning", form=None, **where):
        operation = self.document["paths"][path][method.lower()]
        base = self.server.public if operation["x-side"] == "public" else self.server.base
        headers = {"Authorization": f"Bearer {self.server.keys[app]}"} if app and operation["security"] else {}
        answer = self.server.session.request(method, base + path.format(**where) + query, json=body, data=form, headers=headers,
                                             timeout=60, allow_redirects=False)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        self.seen.add((method, path))
        return self.check(operation, answer)

    def check(self, operation, answer):
        described = operation["responses"].get(str(answer.status_code)) or operation["responses"].get("default")
        assert described, f"{operation['operationId']}: status {answer.status_code} is not in the document"
        described = self.checker.resolve(described)
        for name, header in described.get("headers", {}).items():
            assert not header["required"] or name in answer.headers, f"{operation['operationId']}: no {name}"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert operation.get("x-cached") or answer.headers["Cache-Control"] == "no-store"
        if "content" not in described:
            return answer.text
        kind = answer.headers["Content-Type"].partition(";")[0]
        assert kind in described["content"], f"{operation['operationId']}: {kind} is not in the document"
        if not kind.endswith("json"):
            return answer.text
        self.checker.check(described["content"][kind]["schema"], answer.json(), operation["operationId"])
        return answer.json()


@pytest.fixture
def talk(document, server):
    return Talk(document, server)


# ---------------------------------------------------------------------------------------------------- the document

def test_the_document_has_the_server_s_routes(document):
    listed = command("--list-routes")
    assert listed.returncode == 0
    served = {tuple(line.split()) for line in listed.stdout.splitlines()}
    assert served == {(method, path, role_of(operation)) for method, path, operation in operations(document)}


def test_every_reference_leads_somewhere_and_every_part_is_used(document):
    checker, used = Checker(document), set()

    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                used.add(node["$ref"])
                checker.resolve(node)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)
    walk(document)
    defined = {f"#/components/{kind}/{name}" for kind, parts in document["components"].items() if kind != "securitySchemes"
               for name in parts}
    assert used == defined


def test_operations_are_named_once_and_described(document):
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for _, path, operation in operations(document):
        assert operation["summary"] and operation["tags"] and operation["x-side"] in ("public", "api", "both")
        named = {Checker(document).resolve(p)["name"] for p in operation.get("parameters", [])
                 if Checker(document).resolve(p)["in"] == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_the_checker_notices_what_does_not_fit(document):
    checker = Checker(document)
    problem = {"$ref": "#/components/schemas/Problem"}
    good = {"type": "urn:paynotify:problem:conflict", "title": "t", "status": 409}
    checker.check(problem, good)
    for wrong in ({**good, "status": "409"}, {**good, "more": 1}, {"title": "t", "status": 409}, {**good, "type": "x"},
                  {**good, "detail": ""}, {**good, "status": True}, {**good, "order_id": "01"}):
        with pytest.raises(Mismatch):
            checker.check(problem, wrong)


# ---------------------------------------------------------------------------------------------------- live answers

def new_order(number, **more):
    return {"out_business_id": number, "amount": "88.80", "currency": "CNY", "name": "course", "order_type": "60201",
            "user_id": "u1", **more}


def test_every_route_answers_as_described(talk, server, sandbox, notice, document, pay_page, submit):
    full = new_order("n1", description="d\nd", attach={"a": [1, 2.5]}, return_url="https://shop.example/back?a=b", expires_in=600,
                     goods=[{"goods_id": "g", "goods_type": "t", "name": "n", "detail": "d", "price": "80", "quantity": 2},
                            {"name": "m", "price": "0.01"}])
    order = talk(201, "POST", "/v1/orders", full)
    assert talk(200, "POST", "/v1/orders", full)["order_id"] == order["order_id"]
    order_id = order["order_id"]
    payment = talk(201, "POST", "/v1/orders/{order_id}/payments",
                   {"channel": "alipay", "product": "wap", "idempotency_key": "k", "return_url": "https://shop.example/x"},
                   order_id=order_id)
    second = talk(201, "POST", "/v1/orders/{order_id}/payments", {"channel": "alipay", "product": "precreate"}, order_id=order_id)
    assert second["code_url"] and second["other_open_payments"]
    talk(200, "GET", "/v1/orders/{order_id}", order_id=order_id)
    talk(200, "GET", "/v1/payments/{pay_no}", pay_no=second["pay_no"])
    talk(200, "GET", "/v1/payments/{pay_no}", query="?refresh=true", pay_no=second["pay_no"])

    link = "?" + payment["pay_url"].partition("?")[2]
    assert talk(200, "GET", "/pay/{pay_no}/status", query=link, pay_no=payment["pay_no"])["status"] == "unpaid"
    form = talk(200, "GET", "/pay/{pay_no}", query=link, pay_no=payment["pay_no"])
    back = re.search(r"%2Freturn%2Falipay%2F([0-9a-f-]+)", form).group(1)
    assert "course" in talk(200, "GET", "/return/{channel}/{link}", channel="alipay", link=back)
    cashier = "?" + order["cashier_url"].partition("?")[2]
    talk(200, "GET", "/cashier/{order_id}", query=cashier, order_id=order_id)
    talk(303, "POST", "/cashier/{order_id}/pay", form={"k": cashier[3:], "channel": "alipay", "product": "wap"}, order_id=order_id)
    assert talk(200, "GET", "/cashier/{order_id}/status", query=cashier, order_id=order_id)["state"] == "choice"
    talk(200, "GET", "/cashier/cashier.css")
    talk(200, "GET", "/cashier/cashier.js")
    talk(200, "GET", "/return/{channel}", query="?out_trade_no=1", channel="alipay")
    submit(pay_page(payment["pay_url"]))
    sandbox.pay(payment["pay_no"])
    sandbox.wait_accepted(payment["pay_no"])
    talk.seen.add(("POST", "/notify/{channel}"))
    talk(409, "GET", "/pay/{pay_no}", query=link, pay_no=payment["pay_no"])
    paid = talk(200, "POST", "/v1/orders", {**full, "channel": "alipay"})
    assert paid["status"] == "paid" and "pay_no" not in paid
    talk(200, "GET", "/v1/payments/{pay_no}", pay_no=payment["pay_no"])
    talk(200, "GET", "/v1/orders/{order_id}", order_id=order_id)
    talk(409, "POST", "/v1/orders/{order_id}/close", order_id=order_id)
    talk(409, "POST", "/v1/payments/{pay_no}/accept", pay_no=payment["pay_no"])

    late = talk(201, "POST", "/v1/orders", new_order("n2", channel="alipay", product="wap"))
    talk(200, "POST", "/v1/orders/{order_id}/close", order_id=late["order_id"])
    talk(410, "GET", "/pay/{pay_no}", query="?" + late["pay_url"].partition("?")[2], pay_no=late["pay_no"])
    assert server.notify(notice(late["pay_no"])) == (200, "success")
    assert talk(200, "POST", "/v1/payments/{pay_no}/accept", pay_no=late["pay_no"])["order_status"] == "paid"

    refund = talk(201, "POST", "/v1/payments/{pay_no}/refunds", {"out_refund_id": "r1", "amount": "8.80", "reason": "broken"},
                  pay_no=payment["pay_no"])
    assert refund["status"] == "succeeded" and refund["amount"] == "8.80"
    assert talk(200, "POST", "/v1/payments/{pay_no}/refunds", {"out_refund_id": "r1"}, pay_no=payment["pay_no"]) == refund
    assert talk(200, "GET", "/v1/refunds/{refund_no}", refund_no=refund["refund_no"]) == refund
    talk(200, "GET", "/v1/refunds/{refund_no}", query="?refresh=true", refund_no=refund["refund_no"])
    talk(409, "POST", "/v1/refunds/{refund_no}/retry", refund_no=refund["refund_no"])
    for query in ("", "?limit=1", f"?pay_no={payment['pay_no']}&order_id={order_id}&out_refund_id=r1&status=succeeded"
                  "&created_from=2024-01-01T00:00:00Z&created_to=2100-01-01T00:00:00Z"):
        assert len(talk(200, "GET", "/v1/refunds", query=query)["refunds"]) == 1
    assert talk(200, "GET", "/v1/payments/{pay_no}", pay_no=payment["pay_no"])["refunded_amount"] == "8.80"

    for query in ("", "?limit=1", "?status=paid&user_id=u1&created_from=2024-01-01T00:00:00Z&created_to=2100-01-01T00:00:00%2B08:00"):
        talk(200, "GET", "/v1/orders", query=query)
        talk(200, "GET", "/v1/payments", query=query)
    talk(200, "GET", "/healthz")
    talk(200, "GET", "/readyz")
    assert "paynotify_http_answers_total" in talk(200, "GET", "/metrics")
    assert talk.seen == {(method, path) for method, path, _ in operations(document)}


BODIES = {"payments": {"channel": "alipay"}, "refunds": {"out_refund_id": "r"}}


def test_problems_fit_their_schema(talk, sandbox):
    order_id = talk(201, "POST", "/v1/orders", new_order("n1"))["order_id"]
    for method, path, where in (("POST", "/v1/orders", {}), ("GET", "/v1/orders", {}), ("GET", "/v1/payments", {}),
                                ("GET", "/v1/orders/{order_id}", {"order_id": order_id}),
                                ("POST", "/v1/orders/{order_id}/payments", {"order_id": order_id}),
                                ("POST", "/v1/orders/{order_id}/close", {"order_id": order_id}),
                                ("GET", "/v1/payments/{pay_no}", {"pay_no": "1"}),
                                ("POST", "/v1/payments/{pay_no}/accept", {"pay_no": "1"}),
                                ("POST", "/v1/payments/{pay_no}/refunds", {"pay_no": "1"}), ("GET", "/v1/refunds", {}),
                                ("GET", "/v1/refunds/{refund_no}", {"refund_no": "1"}),
                                ("POST", "/v1/refunds/{refund_no}/retry", {"refund_no": "1"})):
        talk(401, method, path, app=None, **where)
        if where:
            talk(404, method, path, BODIES.get(path.rpartition("/")[2]), **{name: "1" for name in where})
    talk(404, "GET", "/pay/{pay_no}", pay_no="1")
    talk(404, "GET", "/pay/{pay_no}/status", pay_no="1")
    talk(404, "GET", "/return/{channel}", channel="nobody")
    talk(404, "GET", "/return/{channel}/{link}", channel="alipay", link="1-0000-00000000000000000000000000000000")
    talk(404, "GET", "/cashier/{order_id}", order_id="1")
    talk(404, "GET", "/cashier/{order_id}/status", order_id="1")
    talk(404, "POST", "/cashier/{order_id}/pay", form={"channel": "alipay", "product": "wap"}, order_id="1")
    cashier = talk(200, "GET", "/v1/orders/{order_id}", order_id=order_id)["cashier_url"].partition("?k=")[2]
    talk(422, "POST", "/cashier/{order_id}/pay", form={"k": cashier, "channel": "alipay", "product": "app"}, order_id=order_id)
    talk(404, "POST", "/notify/{channel}", channel="nobody")
    talk(415, "POST", "/v1/orders")
    talk(409, "POST", "/v1/orders", new_order("n1", amount="1.00"))
    talk(413, "POST", "/v1/orders", new_order("n2", name="x" * 2**20))
    talk(422, "GET", "/v1/orders", query="?stauts=paid")
    talk(422, "GET", "/v1/orders", query="?limit=101")
    talk(400, "GET", "/v1/orders", query="?user_id=%ff")
    sandbox.fault("gateway", "drop", count=-1)
    unknown = talk(201, "POST", "/v1/orders/{order_id}/payments", {"channel": "alipay", "product": "precreate"}, order_id=order_id)
    assert unknown.get("unknown") is True


def test_every_described_field_is_known_and_no_other(talk, document, server):
    """A field of the document with a value of a wrong type is refused by its name, not as unknown; any other as unknown."""
    order_id = talk(201, "POST", "/v1/orders", new_order("n1"))["order_id"]
    for path, name in (("/v1/orders", "NewOrder"), ("/v1/orders/{order_id}/payments", "NewPayment"),
                       ("/v1/payments/{pay_no}/refunds", "NewRefund")):
        fields = list(document["components"]["schemas"][name]["properties"])
        for field in fields:
            told = talk(422, "POST", path, {field: True}, order_id=order_id, pay_no="1")
            assert told["field"] == field and "unknown" not in told["detail"]
        told = talk(422, "POST", path, {"no_such_field": "x"}, order_id=order_id, pay_no="1")
        assert told["field"] == "no_such_field" and told["detail"].startswith("unknown field")
    for field in document["components"]["schemas"]["NewGoods"]["properties"]:
        told = talk(422, "POST", "/v1/orders", new_order("n2", goods=[{field: []}]))
        assert told["field"] == f"goods[0].{field}" and "unknown" not in told["detail"]
    told = talk(422, "POST", "/v1/orders", new_order("n2", goods=[{"nmae": "x"}]))
    assert told["field"] == "goods[0].nmae" and "did you mean \"name\"?" in told["detail"]


def test_every_described_query_parameter_is_known(talk, document, server):
    payment = talk(201, "POST", "/v1/orders", new_order("n1", channel="alipay", product="wap"))
    for method, path, operation in operations(document):
        if not path.startswith("/v1/"):
            continue
        for parameter in map(talk.checker.resolve, operation.get("parameters", [])):
            if parameter["in"] != "query":
                continue
            answer = server.api(method, path.format(refund_no="1", **payment) + f"?{parameter['name']}=")
            assert answer.status_code == 422 and answer.json()["field"] == parameter["name"], (path, parameter["name"])
            assert "unknown" not in answer.json()["detail"]


def test_the_one_call_returns_a_code_that_leads_to_the_pay_page(talk, directory, pay_page):
    """Reference A's one call: order, payment and the picture of its pay URL."""
    made = talk(201, "POST", "/v1/orders", new_order("n1", channel="alipay", product="wap"))
    picture = os.path.join(directory, "code.png")
    with open(picture, "wb") as file:
        file.write(base64.b64decode(made["qrcode"].partition(",")[2]))
    scanned = subprocess.run(["zbarimg", "--quiet", "--raw", picture], capture_output=True, text=True, check=True, timeout=60)
    assert scanned.stdout.strip() == made["pay_url"]
    assert pay_page(made["pay_url"]).fields
    code = talk(201, "POST", "/v1/orders", new_order("n2", channel="alipay", product="precreate"))
    with open(picture, "wb") as file:
        file.write(base64.b64decode(code["qrcode"].partition(",")[2]))
    scanned = subprocess.run(["zbarimg", "--quiet", "--raw", picture], capture_output=True, text=True, check=True, timeout=60)
    assert scanned.stdout.strip() == code["code_url"]
