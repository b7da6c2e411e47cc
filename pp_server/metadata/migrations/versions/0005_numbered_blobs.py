"""Blobs have numbers, and places and versions name them by these: digests are in no order, so that an index of them has
a page to be written for each row, and there were three. Conditions of versions that are cheap to check.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_IS_HEAD = sa.text("is_head = 1")
_IS_LIVE = sa.text("is_head = 1 AND status = 'active'")
_IS_DELETED = sa.text("status = 'deleted'")
_PLACE = "position, container, name, byte_offset, stored_bytes, size_bytes, sha256, encoding"
_VERSION = (
    "id, owner_id, host_key, path, gen, status, is_head, kind, sha256, size_bytes, mtime_ns, mode, uid, gid, user_name,"
    " group_name, link_target, inconsistent, stored_ms, deleted_ms"
)


def upgrade() -> None:
    """What versions speak of has a number, too, where it is not there."""
    _blobs()
    _places()
    _versions()
    op.drop_table("old_blob_extents")
    op.drop_table("old_blobs")
    op.drop_table("old_file_versions")
    op.create_index("ix_blob_extents_container", "blob_extents", ["container", "name", "byte_offset"])
    op.create_index(
        "ix_file_versions_live",
        "file_versions",
        ["owner_id", "kind", "host_key", "path"],
        sqlite_where=_IS_LIVE,
        postgresql_where=_IS_LIVE,
    )
    op.create_index(
        "uq_file_versions_head",
        "file_versions",
        ["host_key", "path"],
        unique=True,
        sqlite_where=_IS_HEAD,
        postgresql_where=_IS_HEAD,
    )
    op.create_index("ix_file_versions_content", "file_versions", ["owner_id", "blob"])
    op.create_index(
        "ix_file_versions_status",
        "file_versions",
        ["status", "deleted_ms"],
        sqlite_where=_IS_DELETED,
        postgresql_where=_IS_DELETED,
    )


def _blobs() -> None:
    op.rename_table("blobs", "old_blobs")
    op.create_table(
        "blobs",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('present', 'bad')", name="ck_blobs_state"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sha256", name="uq_blobs_sha256"),
    )
    op.execute(
        "INSERT INTO blobs"
        " SELECT ROW_NUMBER() OVER (ORDER BY created_ms, sha256), sha256, size_bytes, state, created_ms FROM old_blobs"
    )
    op.execute(
        "INSERT INTO blobs"
        " SELECT (SELECT COUNT(*) FROM old_blobs) + ROW_NUMBER() OVER (ORDER BY MIN(id)), sha256, MAX(size_bytes),"
        " 'bad', MIN(stored_ms) FROM file_versions"
        " WHERE sha256 IS NOT NULL AND sha256 NOT IN (SELECT sha256 FROM old_blobs) GROUP BY sha256"
    )


def _places() -> None:
    op.drop_index("ix_blob_extents_container", "blob_extents")
    op.rename_table("blob_extents", "old_blob_extents")
    op.create_table(
        "blob_extents",
        sa.Column("blob", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("byte_offset", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("encoding", sa.Text(), nullable=False),
        sa.CheckConstraint("container IN ('file', 'pack')", name="ck_blob_extents_container"),
        sa.ForeignKeyConstraint(["blob"], ["blobs.id"]),
        sa.PrimaryKeyConstraint("blob", "position"),
        sqlite_with_rowid=False,
    )
    place = ", ".join(f"e.{name}" for name in _PLACE.split(", "))
    op.execute(
        f"INSERT INTO blob_extents (blob, {_PLACE}) SELECT b.id, {place}"  # noqa: S608 - constants
        " FROM old_blob_extents e JOIN blobs b ON b.sha256 = e.blob ORDER BY b.id, e.position"
    )


def _versions() -> None:
    for index in ("content", "live", "status"):
        op.drop_index(f"ix_file_versions_{index}", "file_versions")
    op.drop_index("uq_file_versions_head", "file_versions")
    op.rename_table("file_versions", "old_file_versions")
    op.create_table(
        "file_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("host_key", sa.Integer(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("gen", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("is_head", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=True),
        sa.Column("mode", sa.Integer(), nullable=True),
        sa.Column("uid", sa.BigInteger(), nullable=True),
        sa.Column("gid", sa.BigInteger(), nullable=True),
        sa.Column("user_name", sa.Text(), nullable=True),
        sa.Column("group_name", sa.Text(), nullable=True),
        sa.Column("link_target", sa.LargeBinary(), nullable=True),
        sa.Column("inconsistent", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.Column("blob", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "status = 'active' OR status = 'deleted' OR status = 'superseded'", name="ck_file_versions_status"
        ),
        sa.CheckConstraint("kind = 'file' OR kind = 'dir' OR kind = 'symlink'", name="ck_file_versions_kind"),
        sa.CheckConstraint("(blob IS NULL) = (sha256 IS NULL)", name="ck_file_versions_blob"),
        sa.ForeignKeyConstraint(["blob"], ["blobs.id"]),
        sa.ForeignKeyConstraint(["host_key"], ["hosts.id"]),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("host_key", "path", "gen", name="uq_file_versions_gen"),
        sqlite_autoincrement=True,
    )
    version = ", ".join(f"v.{name}" for name in _VERSION.split(", "))
    op.execute(
        f"INSERT INTO file_versions ({_VERSION}, blob) SELECT {version}, b.id"  # noqa: S608 - constants
        " FROM old_file_versions v LEFT JOIN blobs b ON b.sha256 = v.sha256 ORDER BY v.id"
    )
