"""The first tables: owners, keys, hosts, blobs, versions, uploads, counters."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('present', 'bad')", name="ck_blobs_state"),
        sa.PrimaryKeyConstraint("sha256"),
        comment="content that is durable in the content store; bad: do not build on it, store it afresh",
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        comment="what happened since the database exists; updated with the work counted",
    )
    op.create_table(
        "owners",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        comment="whoever files belong to; nothing is visible across owners",
    )
    op.create_table(
        "server_state",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        comment="server_id, epoch, clean_epoch, verify_below",
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=True),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_used_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["owners.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        comment="scopes are words joined by spaces; a key with host_id speaks for that host only",
    )
    op.create_table(
        "hosts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("hostname", sa.Text(), nullable=False),
        sa.Column("highest_gen", sa.BigInteger(), nullable=False),
        sa.Column("ip_address", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["owners.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("owner_id", "host_id", name="uq_hosts_owner_host"),
        comment="one machine of an owner; hostname is only a label",
    )
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
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('file', 'dir', 'symlink')", name="ck_file_versions_kind"),
        sa.CheckConstraint("status IN ('active', 'deleted', 'superseded')", name="ck_file_versions_status"),
        sa.ForeignKeyConstraint(
            ["host_key"],
            ["hosts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["owners.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("host_key", "path", "gen", name="uq_file_versions_gen"),
        comment="every version of every path; the id is the sequence; a tombstone is a version with status deleted",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_file_versions_content", "file_versions", ["owner_id", "sha256"], unique=False)
    op.create_index(
        "ix_file_versions_live",
        "file_versions",
        ["owner_id", "kind", "host_key", "path"],
        unique=False,
        sqlite_where=sa.text("is_head = 1 AND status = 'active'"),
        postgresql_where=sa.text("is_head = 1 AND status = 'active'"),
    )
    op.create_index("ix_file_versions_status", "file_versions", ["status", "deleted_ms"], unique=False)
    op.create_index(
        "uq_file_versions_head",
        "file_versions",
        ["host_key", "path"],
        unique=True,
        sqlite_where=sa.text("is_head = 1"),
        postgresql_where=sa.text("is_head = 1"),
    )
    op.create_table(
        "upload_sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("host_key", sa.Integer(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("gen", sa.BigInteger(), nullable=True),
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
        sa.Column("chunk_bytes", sa.BigInteger(), nullable=False),
        sa.Column("total_chunks", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("content_known", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.CheckConstraint("status IN ('open', 'completed', 'aborted', 'expired')", name="ck_upload_sessions_status"),
        sa.ForeignKeyConstraint(
            ["host_key"],
            ["hosts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["owners.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        comment="one upload; gen is null where the client sent none; content_known: complete needs no chunk",
    )
    op.create_index("ix_upload_sessions_expires", "upload_sessions", ["expires_ms"], unique=False)
    op.create_index(
        "ix_upload_sessions_open",
        "upload_sessions",
        ["host_key", "path"],
        unique=False,
        sqlite_where=sa.text("status = 'open'"),
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index("ix_upload_sessions_status", "upload_sessions", ["status", "expires_ms"], unique=False)
    op.create_index("uq_upload_sessions_upload_id", "upload_sessions", ["upload_id"], unique=True)
    op.create_table(
        "upload_chunks",
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("uploaded_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["upload_sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("session_id", "number"),
        comment="the set of chunks that arrived whole; epoch is the server start that wrote the bytes",
        sqlite_with_rowid=False,
    )
    # ### end Alembic commands ###


def downgrade() -> None:
    """There is no way back: keep a copy of the database."""
    raise NotImplementedError
