"""Fingerprints as people type them, and what may be said of whom to trust."""

import pytest

from pp_assist.core.trust import Trust, parse_fingerprint, shown
from pp_assist.http import BadServerUrl, check_server_url, check_trust

DIGITS = "e861f69ecb44addbcb576b03a659a42401f515b27a330df76ffb2a56999180b6"


@pytest.mark.parametrize("text", [DIGITS, DIGITS.upper(), shown(DIGITS), shown(DIGITS).lower(), f"  {DIGITS}\n"])
def test_a_fingerprint_is_understood_as_everybody_writes_it(text: str) -> None:
    assert parse_fingerprint(text) == DIGITS


@pytest.mark.parametrize(
    "text",
    ["", DIGITS[:-1], DIGITS + "0", DIGITS[:-1] + "g", shown(DIGITS)[:-3], shown(DIGITS) + ":00", ":" + DIGITS]
    + [DIGITS[:2] + ":" + DIGITS[2:], DIGITS.replace("e8", "٣٣", 1), "ab" * 20],
)
def test_what_is_no_sha256_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        parse_fingerprint(text)


@pytest.mark.parametrize(
    ("url", "trust", "words"),
    [
        ("http://127.0.0.1", Trust(fingerprint=DIGITS), "needs https"),
        ("http://127.0.0.1", Trust(ca_file="/ca.pem"), "needs https"),
        ("https://h", Trust(DIGITS, "/ca.pem"), "not both"),
        ("https://h", Trust(ca_file="ca.pem"), "absolute"),
        ("https://h", Trust(ca_file="/there/is/no/such/file"), "No such file"),
        ("https://h", Trust(ca_file=__file__), "no certificates in it"),
    ],
)
def test_what_cannot_be_trusted_is_refused(url: str, trust: Trust, words: str) -> None:
    with pytest.raises(BadServerUrl, match=words):
        check_trust(url, trust)


@pytest.mark.parametrize(
    "url", ["http://h", "http://10.0.0.1:8100", "http://[fe80::1]", "http://localhost.example.org"]
)
def test_the_key_leaves_this_machine_encrypted_or_not_at_all(url: str) -> None:
    with pytest.raises(BadServerUrl, match="unencrypted"):
        check_server_url(url, allow_http=False)
    assert check_server_url(url, allow_http=True) == url


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8100", "http://localhost", "http://[::1]:1", "https://h", "https://10.0.0.1"]
)
def test_this_machine_and_https_need_no_permission(url: str) -> None:
    assert check_server_url(url, allow_http=False) == url
