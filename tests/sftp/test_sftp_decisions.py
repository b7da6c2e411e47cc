"""What needs no server: URLs, which files are complete, what is missing of them, signatures."""

import pytest

from pp_assist.core.sftp_url import BadSftpUrl, Target, is_sftp, parse
from pp_assist.sftp.fetching import SYNC_BYTES, where_to_go_on
from pp_assist.sftp.plan import name_below
from pp_assist.sftp.polling import Observed, Seen, batches, complete, is_wanted, observe
from pp_assist.sftp.signing import NotGenuine, sign, verify
from pp_assist.sftp.wholeness import EDGE_BYTES, why_not_whole
from tests.sftp.documents import pdf


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "path"),
    [
        ("sftp://u@h/in", "h", 22, "u", "/in"),
        ("sftp://u@h:2222/in/", "h", 2222, "u", "/in"),
        ("sftp://u@[::1]:22/a/../b", "::1", 22, "u", "/b"),
        ("sftp://u%40x@h/with%20space", "h", 22, "u@x", "/with space"),
        ("sftp://u@h", "h", 22, "u", "/"),
        ("sftp://u@h/~/in", "h", 22, "u", "in"),
        ("sftp://u@h/~", "h", 22, "u", "."),
        ("SFTP://u@h/in", "h", 22, "u", "/in"),
    ],
)
def test_what_a_url_means(url: str, host: str, port: int, user: str, path: str) -> None:
    assert is_sftp(url)
    assert is_sftp(url.encode())
    assert parse(url) == Target(host, port, user, path, url.rstrip("/"))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("/in", "must be sftp"),
        ("sftp://h/in", "user"),
        ("sftp://u:secret@h/in", "password"),
        ("sftp://u@/in", "host"),
        ("sftp://u@h:x/in", "URL"),
        ("sftp://u@h/in?x", "%3F"),
        ("sftp://u@h/a b", "%20"),
        ("sftp://u@h/%00", "NUL"),
    ],
)
def test_what_is_no_url_of_a_drop_folder(url: str, why: str) -> None:
    with pytest.raises(BadSftpUrl, match=why) as error:
        parse(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("name", [b"a.pdf", b"A.PDF", b"caf\xe9.pdf", b"a.part.pdf"])
def test_what_is_taken(name: bytes) -> None:
    assert is_wanted(name, ["*.pdf"])


@pytest.mark.parametrize(
    "name", [b".a.pdf", b"a.pdf.part", b"a.pdf.filepart", b"a.pdf~", b"a.PDF.TMP", b"#a.pdf#", b"a.txt"]
)
def test_what_is_left_alone(name: bytes) -> None:
    assert not is_wanted(name, ["*.pdf"])


def test_complete_is_what_was_equal_twice_and_for_long_enough() -> None:
    one, grown = Seen(1, 10), Seen(2, 10)
    first = observe({}, {b"a": one, b"b": one}, 1000)
    assert complete(first, 1000, 0) == []
    second = observe(first, {b"a": one, b"b": grown, b"c": one}, 2000)
    assert complete(second, 2000, 1000) == [b"a"]
    assert complete(second, 2000, 1001) == []
    third = observe(second, {b"b": grown, b"c": one}, 3000)
    assert complete(third, 3000, 1000) == [b"b", b"c"]
    touched = observe(third, {b"b": Seen(2, 11)}, 4000)
    assert touched == {b"b": Observed(Seen(2, 11), 4000)}
    assert complete(touched, 4000, 0) == []


def test_batches() -> None:
    ids = list("abcdefg")
    assert [list(each) for each in batches(ids, 5, more_to_come=False)] == [list("abcde"), list("fg")]
    assert [list(each) for each in batches(ids, 5, more_to_come=True)] == [list("abcde")]
    assert list(batches([], 5, more_to_come=False)) == []


def told(name: bytes, data: bytes) -> str | None:
    return why_not_whole(name, len(data), data[:EDGE_BYTES], data[-EDGE_BYTES:])


def test_no_beginning_of_a_pdf_is_a_whole_one() -> None:
    whole = pdf()
    assert told(b"a.pdf", whole) is None
    for length in range(len(whole) - 6):
        assert told(b"A.PDF", whole[:length]), length


def test_a_pdf_that_was_added_to_is_whole_only_with_what_was_added() -> None:
    first = pdf()
    both = first + b"\n1 0 obj\n" + b"x" * 4000 + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % (len(first) + 9)
    assert told(b"a.pdf", both) is None
    assert told(b"a.pdf", both[:-200])


def test_a_linearized_pdf_does_not_end_after_its_first_page() -> None:
    head = b"%%PDF-1.7\n1 0 obj\n<</Linearized 1 /L %08d /N 2>>\nendobj\nstartxref\n0\n%%%%EOF\n"
    rest = b"x" * 5000 + b"\nstartxref\n12\n%%EOF\n"
    whole = head % (len(head % 0) + len(rest)) + rest
    assert told(b"a.pdf", whole) is None
    assert told(b"a.pdf", head % len(whole))
    assert told(b"a.pdf", whole[:-1])


def test_other_kinds() -> None:
    assert told(b"a.txt", b"") is None
    assert told(b"a.docx", b"PK\x03\x04" + b"x" * 5000)
    assert told(b"a.docx", b"PK\x03\x04" + b"x" * 5000 + b"PK\x05\x06" + b"\0" * 18) is None


def test_a_draft_is_trusted_as_far_as_it_is_durable() -> None:
    assert where_to_go_on(0, 100) == 0
    assert where_to_go_on(SYNC_BYTES, 10 * SYNC_BYTES) == 0
    assert where_to_go_on(SYNC_BYTES + 1, 10 * SYNC_BYTES) == SYNC_BYTES
    assert where_to_go_on(3 * SYNC_BYTES, 10 * SYNC_BYTES) == 2 * SYNC_BYTES
    assert where_to_go_on(101, 100) == 0


# -- signatures

BODY = b'{"files":[]}'
NOW = 1_800_000_000


def test_a_signature_is_that_of_standard_webhooks() -> None:
    """The example of their specification."""
    headers = sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}', "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_is_genuine() -> None:
    headers = sign("id-1", NOW, BODY, "secret")
    upper = {name.upper(): value for name, value in headers.items()}
    assert verify(upper, BODY, "secret", NOW + 299) == "id-1"
    assert verify(headers, BODY, ["old", "secret"], NOW - 299) == "id-1"
    both = {**headers, "webhook-signature": f"v2,x v1,!! {headers['webhook-signature']}"}
    assert verify(both, BODY, "secret", NOW) == "id-1"


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "id-2"},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,AAAA"},
    ],
)
def test_what_is_not(change: dict[str, str]) -> None:
    headers = sign("id-1", NOW, BODY, "secret")
    with pytest.raises(NotGenuine):
        verify({**headers, **change}, BODY, "secret", NOW)
    for now, body, secret in (
        (NOW + 301, BODY, "secret"),
        (NOW - 301, BODY, "secret"),
        (NOW, b"x" + BODY[1:], "secret"),
    ):
        with pytest.raises(NotGenuine):
            verify(headers, body, secret, now)
    with pytest.raises(NotGenuine, match="webhook-id"):
        verify({}, BODY, "secret", NOW)


@pytest.mark.parametrize(
    ("folder", "path", "name"),
    [
        (b"/in", b"/in/done/x", b"done/x"),
        (b".", b"done", b"done"),
        (b"/", b"/done", b"done"),
        (b"/in", b"/in", b""),
        (b".", b"../done", None),
        (b"/in", b"/inner", None),
        (b"/in", b"/", None),
        (b"in", b"/in/done", None),
        (b"/in", b"/in/..done", b"..done"),
    ],
)
def test_what_a_path_is_called_within_a_folder(folder: bytes, path: bytes, name: bytes | None) -> None:
    assert name_below(folder, path) == name
