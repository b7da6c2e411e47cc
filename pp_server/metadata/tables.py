"""The tables. They change by migration only; a test compares the two.

Times are milliseconds since 1970, sizes bytes, paths and link targets BLOBs (file names are bytes).
"""

import sqlalchemy as sa

HEAD = "0006"
"""The newest migration."""

metadata = sa.MetaData()

IS_HEAD = sa.text("is_head = 1")
IS_LIVE = sa.text("is_head = 1 AND status = 'active'")
IS_OPEN = sa.text("status = 'open'")
IS_DELETED = sa.text("status = 'deleted'")

server_state = sa.Table(
    "server_state",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    comment="server_id, epoch, clean_epoch, verify_below, receipts_logged",
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
    comment="what happened since the database exists; updated with the work counted",
)

owners = sa.Table(
    "owners",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    comment="whoever files belong to; nothing is visible across owners",
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("owner_id", sa.ForeignKey("owners.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("host_id", sa.Text),
    sa.Column("secret_sha256", sa.LargeBinary, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("last_used_ms", sa.BigInteger),
    sa.Column("revoked_ms", sa.BigInteger),
    comment="scopes are words joined by spaces; a key with host_id speaks for that host only",
)

hosts = sa.Table(
    "hosts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("owner_id", sa.ForeignKey("owners.id"), nullable=False),
    sa.Column("host_id", sa.Text, nullable=False),
    sa.Column("hostname", sa.Text, nullable=False),
    sa.Column("highest_gen", sa.BigInteger, nullable=False),
    sa.Column("ip_address", sa.Text),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("seen_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("owner_id", "host_id", name="uq_hosts_owner_host"),
    comment="one machine of an owner; hostname is only a label",
)

blobs = sa.Table(
    "blobs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("sha256", name="uq_blobs_sha256"),
    sa.CheckConstraint("state IN ('present', 'bad')", name="ck_blobs_state"),
    comment="content that is durable in the content store; bad: do not build on it, store it afresh; or it never came;"
    " other tables name its number: digests are in no order, so an index of them has a page to be written for each row",
)

blob_extents = sa.Table(
    "blob_extents",
    metadata,
    sa.Column("blob", sa.ForeignKey("blobs.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("container", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("byte_offset", sa.BigInteger, nullable=False),
    sa.Column("stored_bytes", sa.BigInteger, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("encoding", sa.Text, nullable=False),
    sa.CheckConstraint("container IN ('file', 'pack')", name="ck_blob_extents_container"),
    sa.Index("ix_blob_extents_container", "container", "name", "byte_offset"),
    sqlite_with_rowid=False,
    comment="where a blob lies, in order: nearly always one extent, none where it is empty; extents may be shared;"
    " encoding is plain or zstd",
)

retired_packs = sa.Table(
    "retired_packs",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("retired_ms", sa.BigInteger, nullable=False),
    comment="packs whose blobs were moved elsewhere; removed once nobody can be reading them any more",
)

sequences = sa.Table(
    "sequences",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("last", sa.BigInteger, nullable=False),
    comment="the last number given: version is that of file_versions, without gaps and in order of the commits",
)

_FACTS = (
    ("kind", sa.Text, False),
    ("sha256", sa.Text, True),
    ("size_bytes", sa.BigInteger, False),
    ("mtime_ns", sa.BigInteger, True),
    ("mode", sa.Integer, True),
    ("uid", sa.BigInteger, True),
    ("gid", sa.BigInteger, True),
    ("user_name", sa.Text, True),
    ("group_name", sa.Text, True),
    ("link_target", sa.LargeBinary, True),
)


def _facts() -> list[sa.Column[object]]:
    columns: list[sa.Column[object]] = [sa.Column(name, kind, nullable=nullable) for name, kind, nullable in _FACTS]
    return [*columns, sa.Column[object]("inconsistent", sa.Boolean(), nullable=False, server_default=sa.false())]


def _one_of(column: str, *values: str) -> str:
    """Return a condition; SQLite would make a table of each list of three in each row it checks."""
    return " OR ".join(f"{column} = '{value}'" for value in values)


file_versions = sa.Table(
    "file_versions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("owner_id", sa.ForeignKey("owners.id"), nullable=False),
    sa.Column("host_key", sa.ForeignKey("hosts.id"), nullable=False),
    sa.Column("path", sa.LargeBinary, nullable=False),
    sa.Column("gen", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("is_head", sa.Integer, nullable=False),
    *_facts(),
    sa.Column("stored_ms", sa.BigInteger, nullable=False),
    sa.Column("deleted_ms", sa.BigInteger),
    sa.Column("blob", sa.ForeignKey("blobs.id")),
    sa.UniqueConstraint("host_key", "path", "gen", name="uq_file_versions_gen"),
    sa.CheckConstraint(_one_of("status", "active", "deleted", "superseded"), name="ck_file_versions_status"),
    sa.CheckConstraint(_one_of("kind", "file", "dir", "symlink"), name="ck_file_versions_kind"),
    sa.CheckConstraint("(blob IS NULL) = (sha256 IS NULL)", name="ck_file_versions_blob"),
    sa.Index("uq_file_versions_head", "host_key", "path", unique=True, sqlite_where=IS_HEAD, postgresql_where=IS_HEAD),
    sa.Index(
        "ix_file_versions_live", "owner_id", "kind", "host_key", "path", sqlite_where=IS_LIVE, postgresql_where=IS_LIVE
    ),
    sa.Index("ix_file_versions_content", "owner_id", "blob"),
    sa.Index("ix_file_versions_status", "status", "deleted_ms", sqlite_where=IS_DELETED, postgresql_where=IS_DELETED),
    sqlite_autoincrement=True,
    comment="every version of every path; the id is the sequence; a tombstone is a version with status deleted; blob is"
    " the number of what sha256 says, in whatever state it is",
)

upload_sessions = sa.Table(
    "upload_sessions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("upload_id", sa.Text, nullable=False),
    sa.Column("owner_id", sa.ForeignKey("owners.id"), nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("host_key", sa.ForeignKey("hosts.id"), nullable=False),
    sa.Column("path", sa.LargeBinary, nullable=False),
    sa.Column("gen", sa.BigInteger),
    *_facts(),
    sa.Column("chunk_bytes", sa.BigInteger, nullable=False),
    sa.Column("total_chunks", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("content_known", sa.Integer, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("closed_ms", sa.BigInteger),
    sa.Column("receipt", sa.Text),
    sa.CheckConstraint("status IN ('open', 'completed', 'aborted', 'expired')", name="ck_upload_sessions_status"),
    sa.Index("uq_upload_sessions_upload_id", "upload_id", unique=True),
    sa.Index("ix_upload_sessions_expires", "expires_ms"),
    sa.Index("ix_upload_sessions_status", "status", "expires_ms"),
    sa.Index("ix_upload_sessions_owner", "owner_id", "expires_ms", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
    sa.Index("ix_upload_sessions_open", "host_key", "path", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
    comment="one upload; gen is null where the client sent none; content_known: complete needs no chunk",
)

upload_chunks = sa.Table(
    "upload_chunks",
    metadata,
    sa.Column("session_id", sa.ForeignKey("upload_sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("uploaded_ms", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
    comment="the set of chunks that arrived whole; epoch is the server start that wrote the bytes",
)
