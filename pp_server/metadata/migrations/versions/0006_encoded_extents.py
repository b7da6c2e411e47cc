"""Extents may be encoded as `zstd`. No table changes; but an older server would take what lies compressed for damaged
and put it aside, and it refuses a database that is newer than itself.
"""

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What is there stays as it is."""
