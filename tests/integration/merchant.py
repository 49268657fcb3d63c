"""A merchant as Alipay's protocol sees one, in Python and with the openssl command: signs requests, verifies what comes
back. It shares no code with the plugin or the sandbox, so that it can judge both.
"""
import base64
import datetime
import json
import subprocess
import tempfile
import urllib.parse

import requests

BEIJING = datetime.timezone(datetime.timedelta(hours=8))


def beijing(offset_seconds=0):
    at = datetime.datetime.now(BEIJING) + datetime.timedelta(seconds=offset_seconds)
    return at.strftime("%Y-%m-%d %H:%M:%S")


def sign(private_key_file, data):
    out = subprocess.run(["openssl", "dgst", "-sha256", "-sign", private_key_file], input=data, capture_output=True,
                         check=True)
    return base64.b64encode(out.stdout).decode()


def verifies(public_key_file, data, signature):
    with tempfile.NamedTemporaryFile() as file:
        file.write(base64.b64decode(signature, validate=True))
        file.flush()
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", public_key_file, "-signature", file.name],
                              input=data, capture_output=True)
    return done.returncode == 0


def joined(params, *without):
    return "&".join("%s=%s" % (name, params[name]) for name in sorted(params) if name not in without).encode()


def parse_form(body):
    """Strict: no name twice."""
    pairs = urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=True, errors="strict")
    assert len(dict(pairs)) == len(pairs), "a name is there twice"
    return dict(pairs)


class Merchant:
    def __init__(self, gateway, app_id, private_key_file, alipay_public_key_file):
        self.gateway = gateway
        self.app_id = app_id
        self.private_key_file = private_key_file
        self.alipay_public_key_file = alipay_public_key_file
        self.session = requests.Session()
        self.session.trust_env = False

    def params(self, method, biz, **more):
        """All parameters of a call, signed; None in `more` leaves one out."""
        params = {"app_id": self.app_id, "method": method, "format": "JSON", "charset": "utf-8", "sign_type": "RSA2",
                  "timestamp": beijing(), "version": "1.0",
                  "biz_content": biz if isinstance(biz, str) else json.dumps(biz, ensure_ascii=False)}
        params.update(more)
        params = {name: value for name, value in params.items() if value is not None}
        if "sign" not in params:
            params["sign"] = sign(self.private_key_file, joined(params))
        return params

    def post(self, params):
        """As the SDKs do: biz_content in the body, everything else in the URL."""
        query = {name: value for name, value in params.items() if name != "biz_content"}
        body = {name: value for name, value in params.items() if name == "biz_content"}
        return self.session.post(self.gateway, params=query, data=body, timeout=30, allow_redirects=False)

    def call(self, method, biz, **more):
        """The node of the answer, after its signature was verified over its bytes."""
        return self.node(method, self.post(self.params(method, biz, **more)))

    def node(self, method, answer):
        name = method.replace(".", "_") + "_response"
        head, tail = ('{"%s":' % name).encode(), b',"sign":"'
        assert answer.status_code == 200 and answer.content.startswith(head), answer.text
        text = answer.content[len(head):answer.content.rindex(tail)]
        signature = json.loads(answer.content)["sign"]
        assert verifies(self.alipay_public_key_file, text, signature), "the answer's signature does not hold"
        return json.loads(text)

    def check_notice(self, body):
        """The fields of a notice, after its signature was verified."""
        fields = parse_form(body)
        assert fields["sign_type"] == "RSA2"
        assert verifies(self.alipay_public_key_file, joined(fields, "sign", "sign_type"), fields["sign"])
        return fields
