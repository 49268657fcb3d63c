"""A merchant as WeChat Pay's protocol (API v2) sees one, in Python alone: signs calls, verifies what comes back, opens notices
of refunds. It shares no code with the plugin or the sandbox, so that it can judge both.
"""
import base64
import hashlib
import hmac
import secrets
import xml.etree.ElementTree

import requests
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

MD5, HMAC = "MD5", "HMAC-SHA256"
SUCCESS = "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"
FAIL = "<xml><return_code><![CDATA[FAIL]]></return_code></xml>"


def signature(fields, key, sign_type):
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "sign" and fields[name] != "")
    text = f"{text}&key={key}".encode()
    made = hashlib.md5(text) if sign_type == MD5 else hmac.new(key.encode(), text, hashlib.sha256)
    return made.hexdigest().upper()


def write_xml(fields, root="xml"):
    """Text elements with escapes, where the sandbox and the plugin write CDATA."""
    top = xml.etree.ElementTree.Element(root)
    for name, value in fields.items():
        xml.etree.ElementTree.SubElement(top, name).text = value
    return xml.etree.ElementTree.tostring(top, encoding="utf-8")


def read_xml(body, root="xml"):
    """Strict: flat, no name twice."""
    top = xml.etree.ElementTree.fromstring(body)
    assert top.tag == root and not top.attrib
    assert all(len(element) == 0 and not element.attrib for element in top)
    assert len({element.tag for element in top}) == len(top), "a name is there twice"
    return {element.tag: element.text or "" for element in top}


class Merchant:
    """call() gives the fields of an answer whose signature was verified; post() gives the raw answer."""

    def __init__(self, sandbox, sign_type=MD5):
        account = sandbox.wechat_account()
        self.url = account["url"]
        self.appid, self.mch_id = account["appid"], account["mch_id"]
        with open(sandbox.path("wechat-key.txt"), encoding="ascii") as file:
            self.key = file.read()
        self.sign_type = sign_type
        self.session = requests.Session()
        self.session.trust_env = False

    def fields(self, **more):
        """All fields of a call, signed; None leaves one out."""
        fields = {"appid": self.appid, "mch_id": self.mch_id, "nonce_str": secrets.token_hex(16), "sign_type": self.sign_type, **more}
        fields = {name: str(value) for name, value in fields.items() if value is not None}
        if "sign" not in more:
            fields["sign"] = signature(fields, self.key, self.sign_type)
        return fields

    def send(self, path, body, **how):
        return self.session.post(how.pop("url", self.url) + path, data=body, timeout=30,
                                 headers={"Content-Type": "text/xml; charset=utf-8"}, **how)

    def post(self, path, _how=None, **fields):
        return self.send(path, write_xml(self.fields(**fields)), **(_how or {}))

    def call(self, path, _how=None, **fields):
        return self.read(self.post(path, _how, **fields))

    def read(self, answer):
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/xml; charset=utf-8", answer.text
        fields = self.check(read_xml(answer.content))
        assert (fields["appid"], fields["mch_id"]) == (self.appid, self.mch_id)
        assert ("err_code" in fields) == (fields["result_code"] == "FAIL")
        return fields

    def check(self, fields, sign_type=None):
        assert fields["return_code"] == "SUCCESS", fields
        assert fields["sign"] == signature(fields, self.key, sign_type or self.sign_type), "the signature does not hold"
        return fields

    def check_notice(self, body, sign_type=None):
        return self.check(read_xml(body), sign_type)

    def open_refund_notice(self, body):
        """The fields inside req_info."""
        outer = read_xml(body)
        assert set(outer) == {"return_code", "appid", "mch_id", "nonce_str", "req_info"}
        assert (outer["return_code"], outer["appid"], outer["mch_id"]) == ("SUCCESS", self.appid, self.mch_id)
        key = hashlib.md5(self.key.encode()).hexdigest().encode()
        opener = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
        plain = opener.update(base64.b64decode(outer["req_info"], validate=True)) + opener.finalize()
        assert 1 <= plain[-1] <= 16 and plain[-plain[-1]:] == plain[-1:] * plain[-1]
        return read_xml(plain[:-plain[-1]], "root")
