"""The server's key, and what it signs. Made at the first start; it is the server's identity towards its clients."""

import base64
import hashlib
import os
from contextlib import suppress

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pp_server.core.errors import StartRefused
from pp_server.durable import Durable
from pp_server.wire.receipts import ReceiptKey, signed_bytes

_NEW = ".new"


class Signer:
    """Signs roots of trees of receipts with one Ed25519 key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        raw = key.public_key().public_bytes_raw()
        self.public = ReceiptKey(
            key_id=hashlib.sha256(raw).hexdigest()[:16], public_key=base64.b64encode(raw).decode("ascii")
        )

    @classmethod
    def load(cls, path: str) -> "Signer":
        """Return the signer with the key at *path*.

        Raises:
            FileNotFoundError: there is none.
            StartRefused: what is there is no such key.
        """
        try:
            with open(path, "rb") as file:
                key = serialization.load_pem_private_key(file.read(), None)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError) as error:
            raise StartRefused(f"{path} cannot be read as a private key; restore it from a copy") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise StartRefused(f"{path} is not an Ed25519 key; restore it from a copy")
        return cls(key)

    @classmethod
    def create(cls, path: str, durable: Durable) -> "Signer":
        """Make a new key at *path*, durable before it signs anything."""
        key = Ed25519PrivateKey.generate()
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with suppress(FileNotFoundError):
            os.unlink(path + _NEW)
        fd = os.open(path + _NEW, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            durable.write(fd, text, 0)
            durable.sync(fd)
        finally:
            os.close(fd)
        durable.rename(path + _NEW, path)
        durable.sync_dir(os.path.dirname(path))
        return cls(key)

    def sign(self, root: bytes) -> bytes:
        """Return the signature of a root."""
        return self._key.sign(signed_bytes(root))
