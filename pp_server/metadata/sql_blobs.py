"""Statements about blobs and where they lie. A constant number of statements, however many blobs."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from pp_server.core.extents import Blob, Container, Extent, Location
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
_PRESENT = sa.select(b.sha256, b.size_bytes).where(IS_PRESENT, b.sha256.in_(_DIGESTS))
_OWNED = _PRESENT.where(
    sa.exists().where(file_versions.c.owner_id == sa.bindparam("owner_id"), file_versions.c.sha256 == b.sha256)
)
_PLACES = sa.select(blob_extents).where(e.blob.in_(_DIGESTS)).order_by(e.blob, e.position)
_FORGET_PLACES = sa.delete(blob_extents).where(e.blob == sa.bindparam("digest"))
_ADD_PLACE = sa.insert(blob_extents)
_RECORD = upsert(
    blobs,
    lambda new: new.on_conflict_do_update(
        index_elements=["sha256"], set_={"state": new.excluded.state, "size_bytes": new.excluded.size_bytes}
    ),
)


def sizes(conn: sa.Connection, digests: Collection[Digest], owner_id: int | None = None) -> dict[Digest, int]:
    """Return the sizes of those contents that are good; with *owner_id*, only those that some version of it has."""
    if not digests:
        return {}
    asked: dict[str, Any] = {"digests": list(digests)}
    if owner_id is None:
        return {row.sha256: row.size_bytes for row in conn.execute(_PRESENT, asked)}
    return {row.sha256: row.size_bytes for row in conn.execute(_OWNED, asked | {"owner_id": owner_id})}


def find(conn: sa.Connection, digests: Collection[Digest]) -> dict[Digest, Blob]:
    """Return those blobs that are good."""
    good = sizes(conn, digests)
    places: dict[Digest, Location] = {}
    if good:
        rows = conn.execute(_PLACES, {"digests": list(good)})
        places = {digest: _location(group) for digest, group in groupby(rows, lambda row: Digest(row.blob))}
    return {digest: Blob(digest, size, places.get(digest, ())) for digest, size in good.items()}


def record(tx: Transaction, stored: Iterable[Blob], now_ms: int) -> None:
    """These blobs are durable in the content store. One that was good before stays where it was."""
    new = {blob.sha256: blob for blob in stored}
    for digest in sizes(tx.conn, new):
        del new[digest]
    if not new:
        return
    tx.conn.execute(_FORGET_PLACES, [{"digest": digest} for digest in new])
    rows = [
        {"sha256": blob.sha256, "size_bytes": blob.size_bytes, "state": "present", "created_ms": now_ms}
        for blob in new.values()
    ]
    tx.conn.execute(_RECORD(tx.conn), rows)
    places = [_place(blob.sha256, number, extent) for blob in new.values() for number, extent in _numbered(blob)]
    if places:
        tx.conn.execute(_ADD_PLACE, places)


def _numbered(blob: Blob) -> Iterator[tuple[int, Extent]]:
    return enumerate(blob.location)


def _place(blob: Digest, position: int, extent: Extent) -> dict[str, Any]:
    return {
        "blob": blob,
        "position": position,
        "container": extent.container,
        "name": extent.name,
        "byte_offset": extent.offset,
        "stored_bytes": extent.stored_bytes,
        "size_bytes": extent.size_bytes,
        "sha256": extent.sha256,
        "encoding": extent.encoding,
    }


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
        .join_from(blob_extents, blobs, b.sha256 == e.blob)
        .where(e.container == Container.PACK, IS_PRESENT)
        .group_by(e.name)
    )
    return {name: (count, int(stored)) for name, count, stored in conn.execute(live)}


def in_pack(conn: sa.Connection, name: str, after: Digest | None, limit: int) -> list[Blob]:
    """Return good blobs of which a part lies in this pack, in order of their digests, those beyond *after*."""
    wanted = (
        sa.select(b.sha256)
        .distinct()
        .join_from(blob_extents, blobs, b.sha256 == e.blob)
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
    .values(container=sa.bindparam("to_container"), name=sa.bindparam("to_name"), byte_offset=sa.bindparam("to_offset"))
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
