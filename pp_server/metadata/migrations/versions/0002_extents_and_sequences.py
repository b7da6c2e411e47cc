"""Where blobs lie, as lists of extents; packs that are on their way out; a sequence without gaps for versions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every blob so far is a file of its own."""
    op.create_table(
        "blob_extents",
        sa.Column("blob", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("byte_offset", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("encoding", sa.Text(), nullable=False),
        sa.CheckConstraint("container IN ('file', 'pack')", name="ck_blob_extents_container"),
        sa.ForeignKeyConstraint(["blob"], ["blobs.sha256"]),
        sa.PrimaryKeyConstraint("blob", "position"),
        sqlite_with_rowid=False,
        comment="where a blob lies, in order: nearly always one extent, none where it is empty; extents may be shared",
    )
    op.create_index("ix_blob_extents_container", "blob_extents", ["container", "name", "byte_offset"])
    op.execute(
        "INSERT INTO blob_extents"
        " SELECT sha256, 0, 'file', sha256, 0, size_bytes, size_bytes, sha256, 'plain' FROM blobs"
    )
    op.create_table(
        "retired_packs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        comment="packs whose blobs were moved elsewhere; removed once nobody can be reading them any more",
    )
    op.create_table(
        "sequences",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        comment="the last number given: version is that of file_versions, without gaps and in order of the commits",
    )
    op.execute("INSERT INTO sequences SELECT 'version', COALESCE(MAX(id), 0) FROM file_versions")
