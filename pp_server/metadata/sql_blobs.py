"""Statements about blobs and where they lie. A constant number of statements, however many blobs."""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from pp_server.core.extents import Blob, Container, Extent, Location
from pp_server.metadata.bulk import Added, Listed
from pp_server.metadata.engine import Transaction
from pp_server.metadata.sql_state import upsert
from pp_server.metadata.tables import (
    IS_OPEN,
    blob_extents,
    blobs,
    file_versions,
    retired_packs,
    upload_sessions,
)
from pp_server.wire.digest import Digest

b = blobs.c
e = blob_extents.c
IS_PRESENT = b.state == "present"
_DIGESTS: sa.BindParameter[Any] = sa.bindparam("digests", expanding=True)
_KNOWN = sa.select(b.id, b.sha256, b.state).where(b.sha256.in_(_DIGESTS))
_PRESENT = sa.select(b.sha256, b.size_bytes).where(IS_PRESENT, b.sha256.in_(_DIGESTS))
OWNED = sa.select(b.sha256, b.size_bytes).where(
    IS_PRESENT,
    sa.exists().where(file_versions.c.owner_id == sa.bindparam("owner_id"), file_versions.c.blob == b.id),
    b.sha256.in_(_DIGESTS),
)
_PLACES = (
    sa.select(b.sha256.label("whole"), b.size_bytes.label("whole_bytes"), blob_extents)
    .join_from(blobs, blob_extents, e.blob == b.id, isouter=True)
    .where(IS_PRESENT, b.sha256.in_(_DIGESTS))
    .order_by(b.id, e.position)
)
_FIND_KNOWN = Listed(_KNOWN, "digests")
_FIND_PRESENT = Listed(_PRESENT, "digests")
_FIND_OWNED = Listed(OWNED, "digests")
_FIND_PLACES = Listed(_PLACES, "digests")
_LAST = sa.select(sa.func.coalesce(sa.func.max(b.id), 0))
_FORGET_PLACES = sa.delete(blob_extents).where(e.blob == sa.bindparam("number"))
_MEND = sa.update(blobs).where(b.id == sa.bindparam("number")).values(state="present", size_bytes=sa.bindparam("size"))
_ADD = Added(sa.insert(blobs), blobs.c.keys())
_ADD_PLACE = Added(sa.insert(blob_extents), blob_extents.c.keys())


def sizes(conn: sa.Connection, digests: Collection[Digest], owner_id: int | None = None) -> dict[Digest, int]:
    """Return the sizes of those contents that are good; with *owner_id*, only those that some version of it has."""
    if owner_id is None:
        return dict(map(tuple, _FIND_PRESENT.rows(conn, digests)))
    return dict(map(tuple, _FIND_OWNED.rows(conn, digests, owner_id=owner_id)))


def find(conn: sa.Connection, digests: Collection[Digest]) -> dict[Digest, Blob]:
    """Return those blobs that are good."""
    rows = _FIND_PLACES.rows(conn, digests)
    return {
        Digest(digest): Blob(digest, size, _location(places))
        for (digest, size), places in groupby(rows, lambda row: (row.whole, row.whole_bytes))
    }


def record(tx: Transaction, stored: Iterable[Blob], now_ms: int) -> None:
    """These blobs are durable in the content store. One that was good before stays where it was."""
    new = {blob.sha256: blob for blob in stored}
    bad: dict[Digest, int] = {}
    for number, digest, state in _FIND_KNOWN.rows(tx.conn, new):
        if state == "present":
            del new[digest]
        else:
            bad[digest] = number
    if bad:
        tx.conn.execute(_FORGET_PLACES, [{"number": number} for number in bad.values()])
        mended = [{"number": number, "size": new[digest].size_bytes} for digest, number in bad.items()]
        tx.conn.execute(_MEND, mended)
    sizes = [(digest, blob.size_bytes) for digest, blob in new.items() if digest not in bad]
    numbers = bad | _add(tx.conn, sizes, "present", now_ms)
    _ADD_PLACE.rows(
        tx.conn,
        [
            (numbers[digest], position, *_place(extent))
            for digest, blob in new.items()
            for position, extent in enumerate(blob.location)
        ],
    )


def name(tx: Transaction, contents: Iterable[tuple[Digest, int]], now_ms: int) -> None:
    """Give a number to contents (digest, size) that versions speak of, whether they are there or not."""
    sizes = dict(contents)
    known = {digest for _, digest, _ in _FIND_KNOWN.rows(tx.conn, sizes)}
    _add(tx.conn, [each for each in sizes.items() if each[0] not in known], "bad", now_ms)


def _add(conn: sa.Connection, contents: Sequence[tuple[Digest, int]], state: str, now_ms: int) -> dict[Digest, int]:
    """Add blobs that have no number yet; return their numbers."""
    first = int(conn.execute(_LAST).scalar_one()) + 1 if contents else 0
    _ADD.rows(conn, [(n, digest, size, state, now_ms) for n, (digest, size) in enumerate(contents, first)])
    return {digest: number for number, (digest, _) in enumerate(contents, first)}


def _place(extent: Extent) -> tuple[str, str, int, int, int, str, str]:
    container, at, size = extent.container.value, extent.offset, extent.size_bytes
    return container, extent.name, at, extent.stored_bytes, size, extent.sha256, extent.encoding


def _location(rows: Iterable[sa.Row[Any]]) -> Location:
    return tuple(
        Extent(
            Container(row.container),
            row.name,
            row.byte_offset,
            row.stored_bytes,
            row.size_bytes,
            row.sha256,
            row.encoding,
        )
        for row in rows
        if row.blob is not None
    )


def distrust(tx: Transaction, digest: Digest, location: Location) -> bool:
    """What lies at *location* is not the content: no upload may skip its chunks because of it.

    False, and nothing happens, where the blob lies elsewhere by now: it was stored afresh.
    """
    known = find(tx.conn, [digest]).get(digest)
    if known is not None and known.location != location:
        return False
    tx.conn.execute(sa.update(blobs).where(b.sha256 == digest).values(state="bad"))
    tx.conn.execute(
        sa.update(upload_sessions).where(IS_OPEN, upload_sessions.c.sha256 == digest).values(content_known=0)
    )
    return True


def page(conn: sa.Connection, after: Digest | None, limit: int) -> list[Blob]:
    """Return good blobs in order of their digests, those beyond *after*."""
    wanted = sa.select(b.sha256).where(IS_PRESENT).order_by(b.sha256).limit(limit)
    if after is not None:
        wanted = wanted.where(b.sha256 > after)
    digests = [Digest(digest) for digest in conn.execute(wanted).scalars()]
    found = find(conn, digests)
    return [found[digest] for digest in digests]


# packs


def live_bytes(conn: sa.Connection) -> dict[str, tuple[int, int]]:
    """Return, per pack, how many extents of good blobs lie in it and their stored bytes."""
    live = (
        sa.select(e.name, sa.func.count(), sa.func.sum(e.stored_bytes))
        .join_from(blob_extents, blobs, b.id == e.blob)
        .where(e.container == Container.PACK, IS_PRESENT)
        .group_by(e.name)
    )
    return {name: (count, int(stored)) for name, count, stored in conn.execute(live)}


def in_pack(conn: sa.Connection, name: str, after: Digest | None, limit: int) -> list[Blob]:
    """Return good blobs of which a part lies in this pack, in order of their digests, those beyond *after*."""
    wanted = (
        sa.select(b.sha256)
        .distinct()
        .join_from(blob_extents, blobs, b.id == e.blob)
        .where(e.container == Container.PACK, e.name == name, IS_PRESENT)
        .order_by(b.sha256)
        .limit(limit)
    )
    if after is not None:
        wanted = wanted.where(b.sha256 > after)
    digests = [Digest(digest) for digest in conn.execute(wanted).scalars()]
    found = find(conn, digests)
    return [found[digest] for digest in digests]


_MOVE = (
    sa.update(blob_extents)
    .where(
        e.container == sa.bindparam("from_container"),
        e.name == sa.bindparam("from_name"),
        e.byte_offset == sa.bindparam("from_offset"),
    )
    .values(
        container=sa.bindparam("to_container"),
        name=sa.bindparam("to_name"),
        byte_offset=sa.bindparam("to_offset"),
        stored_bytes=sa.bindparam("to_stored_bytes"),
        encoding=sa.bindparam("to_encoding"),
    )
)


def move(tx: Transaction, moves: Sequence[tuple[Extent, Extent]]) -> None:
    """Extents lie elsewhere now, for whichever blobs they are part of."""
    rows = [
        {
            "from_container": old.container,
            "from_name": old.name,
            "from_offset": old.offset,
            "to_container": new.container,
            "to_name": new.name,
            "to_offset": new.offset,
            "to_stored_bytes": new.stored_bytes,
            "to_encoding": new.encoding,
        }
        for old, new in moves
    ]
    if rows:
        tx.conn.execute(_MOVE, rows)


def retire(tx: Transaction, name: str, now_ms: int) -> bool:
    """Nothing is read from this pack any more; False where good blobs still lie in it."""
    if in_pack(tx.conn, name, None, 1):
        return False
    row = {"name": name, "retired_ms": now_ms}
    tx.conn.execute(_RETIRE(tx.conn), row)
    return True


_RETIRE = upsert(retired_packs, lambda new: new.on_conflict_do_nothing())


def retired(conn: sa.Connection) -> dict[str, int]:
    """Return the packs that are on their way out, and since when."""
    return {row.name: row.retired_ms for row in conn.execute(sa.select(retired_packs))}


def dropped(tx: Transaction, name: str) -> None:
    """The pack is removed."""
    tx.conn.execute(sa.delete(retired_packs).where(retired_packs.c.name == name))
