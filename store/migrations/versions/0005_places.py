"""Checkpoints at paths relative to their folder, so that a home can be copied and moved.

Not here: later changes; a migration that has been released is never edited.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

FOLDER = "/checkpoints/"


def upgrade() -> None:
    """Cut each absolute path after the folder of checkpoints; URLs stay."""
    table = sa.table("checkpoint", *map(sa.column, ("run_id", "step", "attempt", "path")))
    connection = op.get_bind()
    for row in connection.execute(sa.select(table)).all():
        if row.path.startswith("/"):
            _, found, below = row.path.rpartition(FOLDER)
            place = below if found else "/".join(row.path.split("/")[-3:])
            this = (table.c.run_id == row.run_id, table.c.step == row.step, table.c.attempt == row.attempt)
            connection.execute(sa.update(table).where(*this).values(path=place.lstrip("/")))
