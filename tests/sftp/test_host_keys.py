"""Whose key is believed. A wrong one is refused before the password is sent."""

import base64
import subprocess
from pathlib import Path

import pytest

from pp_assist.sftp import SftpService
from pp_assist.sftp.errors import HostKeyRefused, HostKeyUnknown
from pp_assist.sftp.hostkeys import HostKeyRules, Verdict, check, fingerprint, judge, names, parse_known_hosts
from tests.sftp.sftp_servers import PASSWORD, OpenSsh, Other, make_key, running

ONE, OTHER_KEY = b"key one", b"key two"
B64 = base64.b64encode(ONE).decode()


@pytest.mark.parametrize(
    ("patterns", "host", "port", "fits"),
    [
        ("h", "h", 22, True),
        ("H", "h", 22, True),
        ("h", "h", 2222, False),
        ("[h]:2222", "h", 2222, True),
        ("[h]:2222", "h", 22, False),
        ("[::1]:2222", "::1", 2222, True),
        ("a,h", "h", 22, True),
        ("*.example.com,!bad.example.com", "good.example.com", 22, True),
        ("*.example.com,!bad.example.com", "bad.example.com", 22, False),
        ("ho?t", "host", 22, True),
        ("|1|nonsense", "h", 22, False),
    ],
)
def test_whom_a_line_means(patterns: str, host: str, port: int, fits: bool) -> None:
    assert names(patterns, host, port) is fits


def test_hashed_names_are_those_of_openssh(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    key = Path(f"{make_key(tmp_path / 'k')}.pub").read_text().split()[1]
    file.write_text(f"[h]:2222 ssh-ed25519 {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    [line] = parse_known_hosts(file.read_text())
    assert line.patterns.startswith("|1|")
    assert names(line.patterns, "h", 2222)
    assert not names(line.patterns, "h", 22)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", Verdict.UNKNOWN),
        (f"h ssh-rsa {B64}", Verdict.KNOWN),
        (f"# h ssh-rsa {B64}\n\nnonsense", Verdict.UNKNOWN),
        (f"other ssh-rsa {B64}", Verdict.UNKNOWN),
        ("h ssh-rsa AAAA", Verdict.CHANGED),
        (f"h ssh-ed25519 AAAA\nh ssh-rsa {B64}", Verdict.KNOWN),
        (f"@revoked h ssh-rsa {B64}\nh ssh-rsa {B64}", Verdict.REVOKED),
        (f"@cert-authority h ssh-rsa {B64}", Verdict.UNKNOWN),
        ("h ssh-rsa !!!!", Verdict.UNKNOWN),
    ],
)
def test_what_the_known_hosts_say(text: str, verdict: Verdict) -> None:
    assert judge(parse_known_hosts(text), "h", 22, ONE) is verdict


def test_the_first_key_is_remembered_and_no_other_one_believed(tmp_path: Path) -> None:
    rules = HostKeyRules(remembered=str(tmp_path / "new" / "remembered"))
    check(rules, "h", 22, "ssh-rsa", ONE)
    check(rules, "h", 22, "ssh-rsa", ONE)
    assert (tmp_path / "new" / "remembered").read_text() == f"h ssh-rsa {B64}\n"
    with pytest.raises(HostKeyRefused, match="not the one that is known"):
        check(rules, "h", 22, "ssh-ed25519", OTHER_KEY)
    check(rules, "h", 2222, "ssh-rsa", OTHER_KEY)


def test_strict_remembers_nothing(tmp_path: Path) -> None:
    rules = HostKeyRules(remembered=str(tmp_path / "remembered"), strict=True)
    with pytest.raises(HostKeyUnknown, match=fingerprint(ONE).replace("+", r"\+")):
        check(rules, "h", 22, "ssh-rsa", ONE)
    assert not (tmp_path / "remembered").exists()


def test_a_pin_alone_counts(tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"h ssh-rsa {B64}\n")
    rules = HostKeyRules(pinned=fingerprint(OTHER_KEY), files=(str(known),))
    check(rules, "h", 22, "ssh-rsa", OTHER_KEY)
    with pytest.raises(HostKeyRefused):
        check(rules, "h", 22, "ssh-rsa", ONE)


def test_who_cannot_read_what_is_known_believes_nobody(tmp_path: Path) -> None:
    with pytest.raises(HostKeyRefused, match="cannot read"):
        check(HostKeyRules(files=(str(tmp_path),), remembered=str(tmp_path / "r")), "h", 22, "ssh-rsa", ONE)


# -- against real servers


async def test_a_changed_key_is_refused_before_the_password_is_sent(
    other: Other, service: SftpService, tmp_path: Path
) -> None:
    """The server in the middle logs every password that anybody tries."""
    service.get_sftp_connection(other.config)
    assert other.passwords_seen() == [PASSWORD]
    other.kill()
    service.close_all_connections()
    impostor = Other(tmp_path / "impostor", other.port)
    with running(impostor):
        with pytest.raises(HostKeyRefused, match="nothing was sent"):
            service.get_sftp_connection(other.config)
        assert await service.connect_to_sftp(other.config) == (None, None)
        local = tmp_path / "a"
        local.write_bytes(b"secret")
        assert not await service.upload_file_to_folder("", "p", str(local), other.config)
        assert await service.get_file_from_sftp("a", other.config) is None
        assert isinstance(impostor, Other)
        assert impostor.passwords_seen() == []
    other.start()
    service.get_sftp_connection(other.config)


async def test_a_pinned_fingerprint_refuses_another_key_before_the_password_is_sent(
    other: Other, service: SftpService, tmp_path: Path
) -> None:
    pinned = {**other.config, "sftp_host_key": other.fingerprint}
    service.get_sftp_connection(pinned)
    assert not (tmp_path / "remembered").exists()
    other.log.write_text("")
    with pytest.raises(HostKeyRefused):
        service.get_sftp_connection({**pinned, "sftp_host_key": "SHA256:" + "A" * 43})
    assert other.passwords_seen() == []


def test_strict_refuses_whom_nobody_knows(other: Other, service: SftpService) -> None:
    with pytest.raises(HostKeyUnknown):
        service.get_sftp_connection({**other.config, "sftp_strict": True})
    assert other.passwords_seen() == []
    known = {**other.config, "sftp_strict": True, "sftp_known_hosts": str(other.known_hosts)}
    service.get_sftp_connection(known)
    assert other.passwords_seen() == [PASSWORD]


def test_a_server_with_several_keys_is_asked_for_the_one_that_is_known(openssh: OpenSsh, service: SftpService) -> None:
    rsa = make_key(openssh.folder / "host_rsa", "rsa")
    with open(openssh.folder / "sshd_config", "a") as file:
        file.write(f"HostKey {rsa}\n")
    openssh.restart()
    kind, blob, *_ = Path(f"{rsa}.pub").read_text().split()
    known = openssh.folder / "known_rsa"
    known.write_text(f"[127.0.0.1]:{openssh.port} {kind} {blob}\n")
    service.get_sftp_connection({**openssh.config, "sftp_strict": True, "sftp_known_hosts": str(known)})


def test_no_login_is_tried_at_a_server_that_is_not_believed(openssh: OpenSsh, service: SftpService) -> None:
    with pytest.raises(HostKeyRefused):
        service.get_sftp_connection({**openssh.config, "sftp_host_key": "SHA256:" + "A" * 43})
    assert "Accepted" not in openssh.log.read_text()
    assert "Postponed publickey" not in openssh.log.read_text()
    service.get_sftp_connection(openssh.config)
    assert "Accepted publickey" in openssh.log.read_text()


def test_a_key_that_is_remembered_spoils_no_line_before_it(tmp_path: Path) -> None:
    """Somebody's own file, whose last line has no end."""
    file = tmp_path / "known_hosts"
    file.write_text(f"first ssh-rsa {B64}")
    rules = HostKeyRules(files=(str(file),), remembered=str(file))
    check(rules, "second", 22, "ssh-rsa", OTHER_KEY)
    check(rules, "third", 22, "ssh-rsa", OTHER_KEY)
    lines = list(parse_known_hosts(file.read_text()))
    assert [(line.patterns, line.blob) for line in lines] == [
        ("first", ONE),
        ("second", OTHER_KEY),
        ("third", OTHER_KEY),
    ]
    with pytest.raises(HostKeyRefused):
        check(rules, "first", 22, "ssh-rsa", OTHER_KEY)
