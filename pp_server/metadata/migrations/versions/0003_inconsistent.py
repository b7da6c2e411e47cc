"""Versions whose bytes may mix several moments of a file, because it never came to rest while it was read."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """None of the versions so far is marked."""
    for table in ("file_versions", "upload_sessions"):
        op.add_column(table, sa.Column("inconsistent", sa.Boolean(), nullable=False, server_default=sa.false()))
