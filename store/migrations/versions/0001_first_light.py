"""The first schema: runs, jobs, metrics, results, checkpoints, workers.

Not here: later changes; a migration that has been released is never edited.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    _create_runs()
    _create_jobs()
    _create_metrics()
    _create_outcomes()


def _column(name: str, kind: type[sa.types.TypeEngine[Any]]) -> sa.Column[Any]:
    return sa.Column(name, kind(), nullable=False)


def _optional(name: str, kind: type[sa.types.TypeEngine[Any]]) -> sa.Column[Any]:
    return sa.Column(name, kind(), nullable=True)


def _create_runs() -> None:
    op.create_table(
        "run",
        _column("id", sa.Integer),
        _column("experiment", sa.String),
        _column("method", sa.String),
        _column("preset", sa.String),
        _column("seed", sa.Integer),
        _optional("n_way", sa.Integer),
        _optional("k_shot", sa.Integer),
        _column("config", sa.String),
        _column("config_hash", sa.String),
        _column("group_hash", sa.String),
        _column("total_steps", sa.Integer),
        _column("created", sa.Float),
        _column("provenance", sa.String),
        _column("note", sa.String),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_config_hash", "run", ["config_hash"])
    op.create_index("ix_run_group_hash", "run", ["group_hash"])
    op.create_table(
        "dependency",
        _column("run_id", sa.Integer),
        _column("parent_id", sa.Integer),
        sa.ForeignKeyConstraint(["parent_id"], ["run.id"]),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.PrimaryKeyConstraint("run_id", "parent_id"),
    )
    op.create_index("ix_dependency_parent_id", "dependency", ["parent_id"])


def _create_jobs() -> None:
    op.create_table(
        "job",
        _column("run_id", sa.Integer),
        _column("status", sa.String),
        _column("priority", sa.Integer),
        _column("attempt", sa.Integer),
        _optional("worker_id", sa.String),
        _optional("lease_until", sa.Float),
        _column("step", sa.Integer),
        _optional("rate", sa.Float),
        _optional("reported", sa.Float),
        _column("queued", sa.Float),
        _optional("started", sa.Float),
        _optional("finished", sa.Float),
        _column("cancel_requested", sa.Boolean),
        _column("crashes", sa.Integer),
        _column("crash_step", sa.Integer),
        _optional("error", sa.String),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("ix_job_claim", "job", ["status", "priority", "queued"])
    op.create_table(
        "attempt",
        _column("run_id", sa.Integer),
        _column("number", sa.Integer),
        _column("worker_id", sa.String),
        _column("device", sa.String),
        _column("started", sa.Float),
        _optional("ended", sa.Float),
        _optional("outcome", sa.String),
        _column("from_step", sa.Integer),
        _optional("error", sa.String),
        _column("provenance", sa.String),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.PrimaryKeyConstraint("run_id", "number"),
    )
    op.create_table(
        "worker",
        _column("id", sa.String),
        _column("host", sa.String),
        _column("pid", sa.Integer),
        _column("device", sa.String),
        _column("started", sa.Float),
        _column("heartbeat", sa.Float),
        _optional("stopped", sa.Float),
        _optional("run_id", sa.Integer),
        sa.PrimaryKeyConstraint("id"),
    )


def _create_metrics() -> None:
    op.create_table(
        "metric",
        _column("id", sa.Integer),
        _column("run_id", sa.Integer),
        _column("name", sa.String),
        _column("last_step", sa.Integer),
        _optional("last_value", sa.Float),
        _column("last_time", sa.Float),
        _column("count", sa.Integer),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_metric_run_name", "metric", ["run_id", "name"], unique=True)
    op.create_table(
        "point",
        _column("metric_id", sa.Integer),
        _column("step", sa.Integer),
        _optional("value", sa.Float),
        _column("time", sa.Float),
        sa.ForeignKeyConstraint(["metric_id"], ["metric.id"]),
        sa.PrimaryKeyConstraint("metric_id", "step"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "summary",
        _column("metric_id", sa.Integer),
        _column("level", sa.Integer),
        _column("bucket", sa.Integer),
        _column("count", sa.Integer),
        _column("nan_count", sa.Integer),
        _optional("low", sa.Float),
        _optional("high", sa.Float),
        _optional("total", sa.Float),
        _column("last_step", sa.Integer),
        _optional("last_value", sa.Float),
        _column("last_time", sa.Float),
        sa.ForeignKeyConstraint(["metric_id"], ["metric.id"]),
        sa.PrimaryKeyConstraint("metric_id", "level", "bucket"),
        sqlite_with_rowid=False,
    )


def _create_outcomes() -> None:
    op.create_table(
        "result",
        _column("run_id", sa.Integer),
        _column("name", sa.String),
        _optional("value", sa.Float),
        _optional("interval", sa.Float),
        _optional("episodes", sa.Integer),
        _column("created", sa.Float),
        _optional("episode_values", sa.LargeBinary),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.PrimaryKeyConstraint("run_id", "name"),
    )
    op.create_table(
        "checkpoint",
        _column("run_id", sa.Integer),
        _column("step", sa.Integer),
        _column("attempt", sa.Integer),
        _column("path", sa.String),
        _column("sha256", sa.String),
        _column("created", sa.Float),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.PrimaryKeyConstraint("run_id", "step", "attempt"),
    )
