"""What can be done only while no server runs: making the records again, and a new key for receipts."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from pp_server.core.errors import StartRefused
from pp_server.datadir import DataDir
from pp_server.durable import Durable
from pp_server.metadata.store import SqliteMetadata, prepare
from pp_server.opened import WORKERS, content_of, wall_clock_ms
from pp_server.rebuild import UNFINISHED, Rebuild, keys_in, put_database_aside, remove_database
from pp_server.receipts.log import ReceiptsLog
from pp_server.receipts.signer import Signer
from pp_server.settings import Settings


@contextmanager
def _alone(settings: Settings) -> Iterator[DataDir]:
    """Hold the data directory.

    Raises:
        DataDirBusy: a server runs on it.
    """
    data = DataDir.at(settings.data_dir)
    data.create()
    lock = data.lock()
    try:
        yield data
    finally:
        os.close(lock)


async def rebuild(settings: Settings, force: bool) -> dict[str, Any]:
    """Make the database again from the stored content and the receipts log. The old one is kept under another name.

    Raises:
        DataDirBusy: a server runs.
        StartRefused: the database is there and in order, and *force* was not given.
    """
    with _alone(settings) as data:
        if not force and _is_sound(data.database):
            raise StartRefused(f"{data.database} is there and in order; to make it again all the same, say --force")
        durable, unfinished = Durable(), data.database + UNFINISHED
        remove_database(unfinished)
        with ThreadPoolExecutor(WORKERS) as executor:
            metadata = await SqliteMetadata.open(unfinished, durable)
            try:
                keys = [signer.public for signer in _signers(data)]
                content = content_of(settings, data, durable, executor)
                log = ReceiptsLog(data.receipts, durable)
                report = await Rebuild(metadata, content, log, keys, wall_clock_ms()).run()
                kept = keys_in(data.database)
                await metadata.restore_keys(kept)
            finally:
                await metadata.close()
        aside = put_database_aside(data)
        durable.rename(unfinished, data.database)  # only now: a server must never find half of the records
        durable.sync_dir(data.meta)
    return report | {"api_keys": len(kept), "previous_database": aside}


def _is_sound(database: str) -> bool:
    """Say whether there is a database that could be served."""
    if not os.path.exists(database):
        return False
    try:
        prepare(database)
    except StartRefused:
        return False
    return True


def _signers(data: DataDir) -> list[Signer]:
    """Return the keys that ever signed here, as far as they are still here."""
    names = sorted(name for name in os.listdir(data.meta) if name.startswith("receipts") and name.endswith(".key"))
    return [Signer.load(os.path.join(data.meta, name)) for name in names]


async def new_receipts_key(settings: Settings) -> dict[str, Any]:
    """Make a new key for receipts; the one before stays beside it, for receipts it signed.

    Raises:
        DataDirBusy: a server runs.
    """
    with _alone(settings) as data:
        durable = Durable()
        try:
            old = Signer.load(data.receipts_key)
        except FileNotFoundError:
            old = None
        if old is not None:
            durable.rename(data.receipts_key, os.path.join(data.meta, f"receipts-{old.public.key_id}.key"))
        key = Signer.create(data.receipts_key, durable).public
    return key.model_dump() | {"previous_key_id": None if old is None else old.public.key_id}
