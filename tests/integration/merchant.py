"""A merchant as Alipay's protocol sees one, in Python and with the openssl command: signs requests, verifies what comes
back. It shares no code with the plugin or the sandbox, so that it can judge both.
"""
import base64
import datetime
import hashlib
import json
import re
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


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def certificates_in(path):
    """Each certificate of the file, as PEM."""
    with open(path, "rb") as file:
        return re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", file.read(), re.S)


def certificate_sn(pem):
    """What Alipay calls the sn of a certificate: MD5 of issuer and decimal serial number."""
    text = openssl("x509", "-noout", "-issuer", "-serial", "-nameopt", "RFC2253", data=pem).decode()
    issuer, serial = text.splitlines()
    serial = str(int(serial.removeprefix("serial="), 16))
    return hashlib.md5((issuer.removeprefix("issuer=").strip() + serial).encode()).hexdigest()


def root_sn(path):
    """Of all roots that RSA signed."""
    return "_".join(certificate_sn(pem) for pem in certificates_in(path)
                    if b"Signature Algorithm: sha256WithRSA" in openssl("x509", "-noout", "-text", data=pem))


class Merchant:
    """certificates: {"app_cert_sn": …, "alipay_root_cert_sn": …}, and what answers must name as "alipay_cert_sn"."""

    def __init__(self, gateway, app_id, private_key_file, alipay_public_key_file, certificates=None):
        self.gateway = gateway
        self.app_id = app_id
        self.private_key_file = private_key_file
        self.alipay_public_key_file = alipay_public_key_file
        self.certificates = dict(certificates or {})
        self.answering_sn = self.certificates.pop("alipay_cert_sn", None)
        self.session = requests.Session()
        self.session.trust_env = False

    def params(self, method, biz, **more):
        """All parameters of a call, signed; None in `more` leaves one out."""
        params = {"app_id": self.app_id, "method": method, "format": "JSON", "charset": "utf-8", "sign_type": "RSA2",
                  "timestamp": beijing(), "version": "1.0",
                  "biz_content": biz if isinstance(biz, str) else json.dumps(biz, ensure_ascii=False),
                  **self.certificates}
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

    def order_string(self, biz, **more):
        """What an app hands to the phone's SDK: every value percent-encoded."""
        params = self.params("alipay.trade.app.pay", biz, **more)
        return "&".join("%s=%s" % (name, urllib.parse.quote(params[name], safe="")) for name in sorted(params))

    def call(self, method, biz, **more):
        """The node of the answer, after its signature was verified over its bytes."""
        return self.node(method, self.post(self.params(method, biz, **more)))

    def node(self, method, answer):
        name = method.replace(".", "_") + "_response"
        head, tail = ('{"%s":' % name).encode(), b',"sign":"'
        if self.answering_sn:
            tail = (',"alipay_cert_sn":"%s"' % self.answering_sn).encode() + tail
        assert answer.status_code == 200 and answer.content.startswith(head), answer.text
        text = answer.content[len(head):answer.content.rindex(tail)]
        whole = json.loads(answer.content)
        assert whole.get("alipay_cert_sn") == self.answering_sn
        signature = whole["sign"]
        assert verifies(self.alipay_public_key_file, text, signature), "the answer's signature does not hold"
        return json.loads(text)

    def check_notice(self, body):
        """The fields of a notice, after its signature was verified."""
        fields = parse_form(body)
        assert fields["sign_type"] == "RSA2"
        assert verifies(self.alipay_public_key_file, joined(fields, "sign", "sign_type"), fields["sign"])
        return fields
