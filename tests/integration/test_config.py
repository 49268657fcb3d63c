"""Wrong configurations and wrong plugins: each gives exactly one clear line and a non-zero exit, and nothing starts.

Only `paynotifyd --check-config -c FILE` is run; no fixture of conftest.py is needed.
"""

import hashlib
import os
import shutil
import subprocess

import pytest

BUILD = os.environ.get("PN_BUILDDIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TEST_PLUGINS = os.path.join(BUILD, "tests", "plugins", ".libs")
HASH = hashlib.sha256(b"key").hexdigest()

SOUND = f"""[server]
public_url = https://pay.example.com
plugin_dir = ${{PN_TEST_PLUGINS}}

[store]
url = sqlite:paynotify.db

[app learning]
key_sha256 = {HASH}

[channel main]
plugin = good-channel
app_id = 2021
key_file = main.key

[sink shop]
plugin = good-sink
path = events
"""


def check(folder, text, **environment):
    """(exit status, stdout, stderr lines) of a check of `text`, written as paynotify.conf into `folder`."""
    (folder / "paynotify.conf").write_bytes(text.encode() if isinstance(text, str) else text)
    key = folder / "main.key"
    if not key.exists():
        key.write_text("secret-of-main")
        key.chmod(0o600)
    run = subprocess.run([os.path.join(BUILD, "paynotifyd"), "--check-config", "-c", "paynotify.conf"], cwd=folder,
                         env={**os.environ, "PN_TEST_PLUGINS": TEST_PLUGINS, **environment}, capture_output=True, timeout=60,
                         check=False)
    return run.returncode, run.stdout.decode(), run.stderr.decode().splitlines()


def assert_one_fault(outcome, line, *parts):
    status, stdout, faults = outcome
    assert status == 1
    assert stdout == ""
    assert len(faults) == 1, faults
    assert faults[0].startswith(f"paynotify.conf:{line}: ")
    for part in parts:
        assert part in faults[0]


def line_of(text, start):
    return next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith(start))


def test_a_sound_configuration_is_ok(tmp_path):
    assert check(tmp_path, SOUND) == (0, "paynotify.conf: ok\n", [])


def test_the_sample_that_is_shipped_lacks_only_what_everybody_must_decide(tmp_path):
    source = os.environ.get("PN_SRCDIR") or BUILD
    with open(os.path.join(source, "etc", "paynotify.conf"), encoding="utf-8") as file:
        text = file.read()
    assert_one_fault(check(tmp_path, text), line_of(text, "[server]"), '[server] missing key "public_url"')
    mended = text.replace(";public_url", "public_url")
    assert check(tmp_path, mended) == (0, "paynotify.conf: ok\n", [])


# What is replaced in SOUND, by what, the beginning of the line that is named, and what the fault must hold: section, key,
# and what is wanted instead.
WRONG = {
    "unknown key": ("app_id = 2021", "appid = 2021", "appid", ["[channel main]", '"appid"', 'did you mean "app_id"?']),
    "missing key": ("app_id = 2021\n", "", "[channel main]", ["[channel main]", 'missing key "app_id"']),
    "missing public_url": ("public_url = https://pay.example.com\n", "", "[server]", ["[server]", 'missing key "public_url"', "from outside"]),
    "unknown section": ("[sink shop]", "[snik shop]", "[snik", ["[snik shop]", "did you mean [sink …]?"]),
    "doubled section": ("[app learning]", f"[app learning]\nkey_sha256 = {'0' * 64}\n[app learning]", None,
                        ["[app learning] stands a second time; the first is at paynotify.conf:8"]),
    "doubled key": ("app_id = 2021", "app_id = 2021\napp_id = 2022", None,
                    ["[channel main]", '"app_id" stands a second time; the first is at line 13']),
    "listening address": ("plugin_dir", "public_listen = 0.0.0.0:99999\nplugin_dir", "public_listen",
                          ["[server] public_listen", "such as 0.0.0.0:8080", '"0.0.0.0:99999"']),
    "URL that is none": ("https://pay.example.com", "pay.example.com", "public_url", ["[server] public_url", "wanted an absolute URL"]),
    "number out of bounds": ("plugin_dir", "workers = 0\nplugin_dir", "workers", ["[server] workers", "wanted 1 to 256", '"0"']),
    "duration without unit": ("app_id = 2021", "app_id = 2021\ntimeout = 10", "timeout",
                              ["[channel main] timeout", "wanted a duration such as", '"10"']),
    "store": ("sqlite:paynotify.db", "mysql://pay:geheim@db/pay", "url", ["[store] url", "sqlite:PATH or postgresql://"]),
    "key hash": (HASH, "key", "key_sha256", ["[app learning] key_sha256", "wanted 64 hex digits", "sha256sum"]),
    "same key for two apps": ("[channel main]", f"[app other]\nkey_sha256 = {HASH}\n[channel main]", None,
                              ["[app other] key_sha256", "[app learning] has the same key"]),
    "channel that is not there": (f"key_sha256 = {HASH}", f"key_sha256 = {HASH}\nchannels = mian", "channels",
                                  ["[app learning] channels", "no [channel mian]", 'did you mean "main"?']),
    "event that the format does not carry": ("path = events", "path = events\nevents = payment.late", "events",
                                             ["[sink shop] events", "mqmessage", "remove payment.late"]),
    "secret in the file": ("key_file = main.key", "key = secret-of-main", "key =", ["[channel main] key", "key_file = PATH", "${NAME}"]),
    "file that is not there": ("main.key", "missing.key", "key_file", ["[channel main] key_file", "cannot read", "missing.key"]),
    "variable that is not set": ("app_id = 2021", "app_id = ${PN_TEST_NOT_SET}", "app_id", ["[channel main] app_id", "${PN_TEST_NOT_SET} is not set"]),
    "indented line": ("path = events", "path = events\n  more", "  more", ["the line is indented", "margin"]),
    "line that is too long": ("app_id = 2021", "app_id = " + "2" * 200, "app_id", ["longer than 198 bytes", "KEY_file = PATH"]),
    "value that a comment would cut": ("app_id = 2021", "app_id = 20 ;21", "app_id", ['" ;" ends a value', "file or from ${NAME}"]),
    "line without a value": ("app_id = 2021", "app_id = 2021\nquick", "quick", ["wanted key = value"]),
    "section without its end": ("[sink shop]\nplugin = good-sink\npath = events\n", "[sink shop\n", "[sink", ["wanted [section]"]),
    "what the plugin itself refuses": ("app_id = 2021", "app_id = bad", "app_id", ["[channel main] app_id", "the merchant's number is bad"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_configuration(tmp_path, name):
    old, new, at, parts = WRONG[name]
    assert SOUND.count(old) >= 1
    text = SOUND.replace(old, new, 1)
    # A doubled thing is named at its second place.
    line = line_of(text, at) if at else SOUND[:SOUND.index(old)].count("\n") + new.count("\n") + 1 - (name == "same key for two apps")
    outcome = check(tmp_path, text)
    assert_one_fault(outcome, line, *parts)
    assert "geheim" not in outcome[2][0] and "secret-of-main" not in outcome[2][0]


def test_a_secret_that_others_can_read(tmp_path):
    (tmp_path / "main.key").write_text("secret-of-main")
    for mode in (0o640, 0o604):
        (tmp_path / "main.key").chmod(mode)
        assert_one_fault(check(tmp_path, SOUND), line_of(SOUND, "key_file"), "[channel main] key_file", "main.key", "chmod 600")


def test_bytes_that_are_no_text(tmp_path):
    assert_one_fault(check(tmp_path, SOUND.encode().replace(b"2021", b"20\xff21")), line_of(SOUND, "app_id"), "wanted UTF-8 text")


def test_a_file_that_is_not_there(tmp_path):
    run = subprocess.run([os.path.join(BUILD, "paynotifyd"), "--check-config", "-c", "nowhere.conf"], cwd=tmp_path, capture_output=True,
                         text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert run.stderr.splitlines() == ["nowhere.conf: cannot be read: No such file or directory"]


def test_all_faults_at_once(tmp_path):
    text = SOUND.replace("https://pay", "pay").replace("[store]", "[stor]").replace("app_id", "appid").replace("path", "pth")
    status, _, faults = check(tmp_path, text)
    assert status == 1
    assert len(faults) == 4, faults


def test_the_server_does_not_start_with_a_fault(tmp_path):
    check(tmp_path, SOUND.replace("app_id", "appid"))
    run = subprocess.run([os.path.join(BUILD, "paynotifyd"), "-c", "paynotify.conf"], cwd=tmp_path, capture_output=True, text=True,
                         env={**os.environ, "PN_TEST_PLUGINS": TEST_PLUGINS}, timeout=60, check=False)
    assert run.returncode == 1
    assert 'unknown key "appid"' in run.stderr
    assert not (tmp_path / "paynotify.db").exists()


def wrong_plugin(tmp_path, name):
    """The value of `plugin = …` for each wrong plugin, and what the fault must say."""
    good = os.path.join(TEST_PLUGINS, "paynotify-good-channel.so")
    if name == "no symbol":
        return "no-symbol", ["paynotify-no-symbol.so", 'no symbol "pn_plugin"']
    if name == "other ABI major":
        return "other-abi", ["paynotify-other-abi.so", "wanted 0.", "found 1.0", "build it anew"]
    if name == "wrong kind":
        return "good-sink", ["paynotify-good-sink.so", "is a sink plugin", "wanted a channel plugin"]
    if name == "truncated file":
        shutil.copy(good, tmp_path / "cut.so")
        os.truncate(tmp_path / "cut.so", os.path.getsize(good) * 2 // 3)
        return "./cut.so", ["cut.so", "is not whole", "copy it again"]
    if name == "not a library":
        (tmp_path / "text.so").write_text("#!/bin/sh\necho no library\n" * 200)
        return "./text.so", ["text.so", "is not a shared object", "wanted an ELF file"]
    if name == "executable":
        return os.path.join(BUILD, "paynotifyd"), ["paynotifyd", "cannot load"]
    return "god-channel", ["paynotify-god-channel.so", 'did you mean "good-channel"?']


@pytest.mark.parametrize("name", ["no symbol", "other ABI major", "wrong kind", "truncated file", "not a library", "executable", "unknown name"])
def test_wrong_plugin(tmp_path, name):
    value, parts = wrong_plugin(tmp_path, name)
    text = SOUND.replace("plugin = good-channel", f"plugin = {value}")
    if len(value) > 150:
        text = SOUND.replace("plugin = good-channel", "plugin = ${PN_TEST_PLUGIN}")
    outcome = check(tmp_path, text, PN_TEST_PLUGIN=value)
    assert_one_fault(outcome, line_of(SOUND, "plugin = good-channel"), "[channel main] plugin", *parts)
