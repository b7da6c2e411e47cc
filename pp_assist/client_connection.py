"""What all commands of `pp_client` that speak to a server have in common: which one, and how it is trusted."""

import argparse
import contextlib
import os
import sys
from dataclasses import dataclass

from pp_assist.core.trust import Trust, parse_fingerprint
from pp_assist.http import Http, check_server_url, check_trust

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Connection:
    """A server, and the key to show it."""

    url: str
    api_key: str
    trust: Trust

    def open(self, connections: int) -> Http:
        """Return connections to it; whoever opens them closes them."""
        return Http(self.url, self.api_key, TIMEOUT_S, connections, trust=self.trust)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which server."""
    parser.add_argument(
        "--server", "--url", dest="server", required=True, metavar="URL", help="such as https://files.example.org"
    )
    parser.add_argument("--api-key-file", metavar="FILE", help="file with the API key (default: $PP_CLIENT_API_KEY)")
    parser.add_argument("--api-key", metavar="KEY", help="the API key itself; others on this machine may see it")
    parser.add_argument("--allow-http", action="store_true", help="send the key unencrypted to another machine")
    parser.add_argument("--fingerprint", metavar="SHA256", help="trust this certificate of the server and no other")
    parser.add_argument("--ca-file", metavar="FILE", help="PEM file with the authorities that vouch for the server")


def connection(args: argparse.Namespace) -> Connection:
    """Return what the options say.

    Raises:
        OSError, ValueError: they cannot be meant; the message says why.
    """
    url = check_server_url(args.server, args.allow_http)
    fingerprint = parse_fingerprint(args.fingerprint) if args.fingerprint else None
    trust = Trust(fingerprint, os.path.abspath(args.ca_file) if args.ca_file else None)
    check_trust(url, trust)
    return Connection(url, _api_key(args.api_key_file, args.api_key), trust)


def _api_key(path: str | None, given: str | None) -> str:
    if path is not None and given is not None:
        raise ValueError("--api-key-file or --api-key, not both")
    if path is not None:
        with contextlib.ExitStack() as stack:
            file = sys.stdin if path == "-" else stack.enter_context(open(path, encoding="utf-8"))
            key = file.readline().strip()
    else:
        key = os.environ.get("PP_CLIENT_API_KEY", "") if given is None else given.strip()
    if not key or not key.isascii() or not key.isprintable():
        where = f"in the first line of {path}" if path else "in PP_CLIENT_API_KEY (or name a file with --api-key-file)"
        raise ValueError(f"there is no usable API key {where}")
    return key
