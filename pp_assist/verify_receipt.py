"""`pp_client verify-receipt`: is this what the owner of that key has signed? Needs no server, and no network."""

import argparse
import base64
import binascii
import hashlib
import json
import sys
from collections.abc import Sequence
from typing import NoReturn

from pydantic import ValidationError

from pp_assist.cli_parsing import CODES, FAILED, OK, USAGE, Parser, print_problem
from pp_server.wire.receipts import NotProven, Receipt, ReceiptKey, check

KEY_BYTES = 32


def main(arguments: Sequence[str]) -> NoReturn:
    """Check one receipt and exit: 0 it holds, 1 it does not, 2 usage."""
    parser = Parser(prog="pp_client verify-receipt", description="Check a receipt, alone and offline.")
    parser.add_argument("file", help="what `pp_assist receipt PATH --json` printed; - for standard input")
    parser.add_argument("--key", required=True, help="the server's public key: GET /api/receipts/key, `public_key`")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    args = parser.parse_args(arguments)
    try:
        key = _key(args.key)
        receipt = Receipt.model_validate_json(_text(args.file))
    except ValidationError as error:
        sys.exit(_complain(args, f"{args.file} is no receipt: {error.errors()[0]['msg']}", USAGE))
    except (OSError, ValueError) as error:
        sys.exit(_complain(args, str(error), USAGE))
    try:
        check(receipt, key)
    except NotProven as error:
        sys.exit(_complain(args, f"NOT PROVEN: {error}", FAILED))
    if args.json:
        print(json.dumps({"proven": True, "signed_by": key.key_id, "receipt": receipt.model_dump(mode="json")}))
        sys.exit(OK)
    what = _KINDS.get(receipt.kind) or f"sha256 {receipt.sha256}, {receipt.size} bytes"
    if receipt.status == "deleted":
        what = "deleted"
    name = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in receipt.filepath)
    print(f"proven  {name}: {what}, generation {receipt.gen}, {receipt.stored_at}, signed by {key.key_id}")
    sys.exit(OK)


_KINDS = {"dir": "a directory", "symlink": "a symbolic link"}


def _key(text: str) -> ReceiptKey:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"--key is not base64: {error}") from error
    if len(raw) != KEY_BYTES:
        raise ValueError(f"--key must be {KEY_BYTES} bytes, it is {len(raw)}")
    return ReceiptKey(key_id=hashlib.sha256(raw).hexdigest()[:16], public_key=text)


def _text(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as file:
        return file.read()


def _complain(args: argparse.Namespace, text: str, code: int) -> int:
    if args.json:
        print_problem(text, CODES[code], code)
    print(f"pp_client: {text}", file=sys.stderr)
    return code
