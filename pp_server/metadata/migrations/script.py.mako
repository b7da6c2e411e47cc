"""${message}"""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """..."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """There is no way back: keep a copy of the database."""
    raise NotImplementedError
