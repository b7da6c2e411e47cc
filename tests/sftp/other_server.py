"""asyncssh's SFTP server: ROOT PORT HOST_KEY USER PASSWORD [--no-posix-rename]. Prints each password somebody tries."""

import asyncio
import json
import sys

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

    if "--no-posix-rename" in options:

        async def posix_rename(self, *_: bytes) -> None:
            raise asyncssh.SFTPOpUnsupported("no posix-rename here")


async def main() -> None:
    server = await asyncssh.listen(
        "127.0.0.1", int(port), server_factory=Auth, server_host_keys=[host_key], sftp_factory=Sftp
    )
    await server.wait_closed()


asyncio.run(main())
