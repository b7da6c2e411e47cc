"""asyncssh's SFTP server: ROOT PORT HOST_KEY USER PASSWORD [OPTION ...]. Prints each password somebody tries.

--no-posix-rename; --no-rename; --locked: folders called "locked" are listed for nobody.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

import asyncssh

root, port, host_key, user, password = sys.argv[1:6]
options = sys.argv[6:]


class Auth(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, given: str) -> bool:
        print(json.dumps({"password": given}), flush=True)
        return (username, given) == (user, password)


class Sftp(asyncssh.SFTPServer):
    def __init__(self, chan: asyncssh.SSHServerChannel) -> None:
        super().__init__(chan, chroot=root.encode())

    if "--locked" in options:

        async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            if path.endswith(b"locked"):
                raise asyncssh.SFTPPermissionDenied("locked")
            async for name in super().scandir(path):
                yield name

    if "--no-posix-rename" in options:

        async def posix_rename(self, *_: bytes) -> None:
            raise asyncssh.SFTPOpUnsupported("no posix-rename here")

    if "--no-rename" in options:

        async def rename(self, *_: bytes) -> None:
            raise asyncssh.SFTPPermissionDenied("no renaming here")


async def main() -> None:
    server = await asyncssh.listen(
        "127.0.0.1", int(port), server_factory=Auth, server_host_keys=[host_key], sftp_factory=Sftp
    )
    await server.wait_closed()


asyncio.run(main())
