"""An index that counts the open uploads of one owner, who may have only so many."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_IS_OPEN = sa.text("status = 'open'")


def upgrade() -> None:
    """Only open uploads are in it."""
    op.create_index(
        "ix_upload_sessions_owner",
        "upload_sessions",
        ["owner_id", "expires_ms"],
        sqlite_where=_IS_OPEN,
        postgresql_where=_IS_OPEN,
    )
