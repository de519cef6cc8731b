"""What Alembic runs to migrate: the connection is handed in, and the transaction is its owner's.

Not here: the migrations themselves (versions/). Alembic loads this file; nothing else imports it.
"""

from alembic import context
from sqlmodel import SQLModel

from store import tables  # noqa: F401  (fills SQLModel.metadata)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
context.run_migrations()
