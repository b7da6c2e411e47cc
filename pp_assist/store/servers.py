"""The servers we know, and how they stand."""

import asyncio
import sqlite3

from pp_assist.core.model import Server
from pp_assist.core.trust import Trust
from pp_assist.store import keepsake
from pp_assist.store.db import Database

_COLUMNS = """id, name, url, username, api_key, is_default, created_at_ms, state, last_contact_at_ms, reason,
fingerprint, ca_file"""
_ALL = f"SELECT {_COLUMNS} FROM servers ORDER BY id"  # noqa: S608 - constants
_NO_DEFAULT = "UPDATE servers SET is_default = 0"
_IS = "SELECT 1 FROM servers WHERE id = ?"
_DEFAULT = "UPDATE servers SET is_default = 1 WHERE id = ?"
_ADD = """
INSERT INTO servers (name, url, username, api_key, is_default, created_at_ms, fingerprint, ca_file, state)
VALUES (?, ?, ?, ?, ? OR NOT EXISTS (SELECT 1 FROM servers), ?, ?, ?, 'ok') RETURNING id"""
_REMOVE = "DELETE FROM servers WHERE id = ?"
_FIRST_IS_DEFAULT = """
UPDATE servers SET is_default = 1 WHERE id = (SELECT MIN(id) FROM servers)
AND NOT EXISTS (SELECT 1 FROM servers WHERE is_default = 1)"""
_NOTE = "UPDATE servers SET state = ?, reason = ?, last_contact_at_ms = COALESCE(?, last_contact_at_ms) WHERE id = ?"


class DuplicateServer(Exception):
    """A server of that name is already known."""


class ServersTable:
    """Adds, lists and forgets servers. `version` grows and `changed` is set with each change, for the uploader."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.version = 0
        self.changed = asyncio.Event()

    async def all(self) -> list[Server]:
        """Return every server, oldest first."""
        return [_server(row) for row in await self._db.rows(_ALL)]

    async def default(self) -> Server | None:
        """Return the server uploads go to, or None."""
        return next((server for server in await self.all() if server.is_default), None)

    async def add(
        self,
        name: str,
        url: str,
        api_key: str,
        now_ms: int,
        username: str | None = None,
        is_default: bool = False,
        trust: Trust = Trust(),  # noqa: B008 - a value
    ) -> Server:
        """Add a server; the first one becomes the default.

        Raises:
            DuplicateServer: the name is taken.
        """
        try:
            async with self._db.transaction() as tx:
                if is_default:
                    await tx.execute(_NO_DEFAULT)
                facts = (name, url, username, api_key, is_default, now_ms, trust.fingerprint, trust.ca_file)
                cursor = await tx.execute(_ADD, facts)
                row = await cursor.fetchone()
                assert row is not None
                await keepsake.changed(tx)
        except sqlite3.IntegrityError as error:
            raise DuplicateServer(name) from error
        await self._changed()
        return next(server for server in await self.all() if server.id == row[0])

    async def make_default(self, server_id: int) -> bool:
        """Have uploads go to this server from now on; False if there is none."""
        async with self._db.transaction() as tx:
            if not list(await tx.execute_fetchall(_IS, (server_id,))):
                return False
            await tx.execute(_NO_DEFAULT)
            await tx.execute(_DEFAULT, (server_id,))
            await keepsake.changed(tx)
        await self._changed()
        return True

    async def remove(self, server_id: int) -> bool:
        """Forget a server with its key; False if there is none. The oldest other one becomes the default."""
        async with self._db.transaction() as tx:
            removed = (await tx.execute(_REMOVE, (server_id,))).rowcount > 0
            await tx.execute(_FIRST_IS_DEFAULT)
            await keepsake.changed(tx)
        await self._changed()
        return removed

    async def _changed(self) -> None:
        """Wake everybody who waits for a change; who waits from now on waits for the next one."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()
        await self._db.when_settings_change()

    async def note(self, server_id: int, state: str, reason: str | None, contact_at_ms: int | None) -> None:
        """Note how a server answered last (*contact_at_ms* None: it did not)."""
        async with self._db.transaction() as tx:
            await tx.execute(_NOTE, (state, reason, contact_at_ms, server_id))


def _server(row: sqlite3.Row) -> Server:
    fields = dict(row)
    trust = Trust(fields.pop("fingerprint"), fields.pop("ca_file"))
    return Server(**(fields | {"is_default": bool(fields["is_default"]), "trust": trust}))
