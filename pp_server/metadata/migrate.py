"""Bring a database to the tables this program knows."""

import os

import sqlalchemy as sa

from pp_server.core.errors import StartRefused
from pp_server.metadata import migrations
from pp_server.metadata.tables import HEAD


def migrate(conn: sa.Connection) -> None:
    """Apply the migrations that are missing. The caller holds the lock; *conn* is in no transaction.

    Raises:
        StartRefused: the database is of a newer program.
    """
    if current(conn) == HEAD:
        return
    from alembic import command  # here: it costs 100 ms, and most starts need none of it
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", os.path.dirname(migrations.__file__).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StartRefused("The database was written by a newer version of this program") from error


def current(conn: sa.Connection) -> str | None:
    """Return the newest migration that was applied, or None."""
    with conn.begin():
        if not sa.inspect(conn).has_table("alembic_version"):
            return None
        found: str | None = conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found
