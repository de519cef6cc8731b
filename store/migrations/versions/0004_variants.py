"""What tells a run from the others of its preset, as a line for a person.

Not here: later changes; a migration that has been released is never edited.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; runs from before say nothing."""
    op.add_column("run", sa.Column("variant", sa.String(), nullable=False, server_default=""))
