"""Settings that all processes share, such as a paused queue; claims that take no longer in a long queue.

Not here: later changes; a migration that has been released is never edited.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table of settings, and put the index of claims into their order."""
    op.create_table(
        "setting",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.drop_index("ix_job_claim", "job")
    op.create_index("ix_job_claim", "job", ["status", sa.text("priority DESC"), "queued", "run_id"])
