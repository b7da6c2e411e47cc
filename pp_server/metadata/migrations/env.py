"""What alembic runs: it migrates the connection it is given."""

from alembic import context

from pp_server.metadata.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
