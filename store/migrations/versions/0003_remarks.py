"""Notes and tags that may change, and a trash; the run itself keeps only what never changes.

Not here: later changes; a migration that has been released is never edited.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table of remarks, and move the notes into it."""
    op.create_table(
        "remark",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("tags", sa.String(), nullable=False),
        sa.Column("trashed", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.execute("INSERT INTO remark (run_id, note, tags) SELECT id, note, '[]' FROM run WHERE note <> ''")
    op.drop_column("run", "note")  # in place: a copy of the table would lose the numbers already given
