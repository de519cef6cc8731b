"""Snapshots of one database, one after another: what cannot have changed since the last is not read again.

Not here: what a snapshot holds (store.snapshot), and how often one is taken.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine

from store.details import Look, SettledDetails, read_compared
from store.engine import reading
from store.rows import RunRow, WorkerRow
from store.snapshot import MOST_RUNS, SettledRows, Snapshot, Which, read_snapshot


class Pictures:
    """Takes snapshots for whoever looks again and again; for one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._connection: object = None  # the driver's, over which the rest was read
        self._asked: tuple[object, ...] = ()
        self._last: Snapshot | None = None
        self._settled: SettledRows = {}
        self._settled_details: SettledDetails = {}

    def take(
        self,
        *,
        now: float,
        selected: int | None = None,
        look: Look | None = None,
        limit: int | None = MOST_RUNS,
        which: Which | None = None,
        also: Collection[int] = (),
    ) -> Snapshot:
        """Do what store.snapshot.snapshot does, and read the runs to compare.

        Runs in `also` are listed in any case. Where nothing was committed since, only ages change.
        """
        look, which = look or Look(), which or Which()
        with reading(self.engine) as connection:
            driver = connection.connection.dbapi_connection
            if driver is not self._connection:  # perhaps to another file: one that was put in its place
                self._connection, self._last, self._settled, self._settled_details = driver, None, {}, {}
            asked = (_state(connection, driver), selected, look, limit, which, frozenset(also))
            if self._last is None or asked != self._asked:
                self._last = None  # of no use where reading fails
                taken = read_snapshot(
                    connection,
                    self._settled,
                    now=now,
                    selected=selected,
                    look=look,
                    limit=limit,
                    which=which,
                    also=also,
                )
                rows = {row.id: row for row in taken.runs}
                compared = read_compared(connection, rows, self._settled_details, look)
                self._last = replace(taken, compared=compared)
                self._asked = asked
        return _at(self._last, now)


def _state(connection: Connection, driver: Any) -> tuple[object, ...]:
    """Return what changes, for this connection, whenever anything is committed, by itself or by others."""
    if connection.dialect.name == "postgresql":
        return (connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar_one(),)
    # The version tells of others' changes, the total of this connection's own.
    version = connection.exec_driver_sql("PRAGMA data_version").scalar_one()
    return version, driver.total_changes


def _at(taken: Snapshot, now: float) -> Snapshot:
    """Return the same picture as it looks at another time."""
    later = now - taken.taken
    if not later:
        return taken

    def older(row: RunRow) -> RunRow:
        if row.heartbeat_age is None and row.lease_left is None:
            return row
        age = None if row.heartbeat_age is None else row.heartbeat_age + later
        return replace(
            row, heartbeat_age=age, lease_left=None if row.lease_left is None else row.lease_left - later
        )

    def older_worker(row: WorkerRow) -> WorkerRow:
        return replace(row, heartbeat_age=row.heartbeat_age + later)

    selected = taken.selected
    return replace(
        taken,
        taken=now,
        runs=tuple(map(older, taken.runs)),
        workers=tuple(map(older_worker, taken.workers)),
        selected=None if selected is None else replace(selected, row=older(selected.row)),
    )
