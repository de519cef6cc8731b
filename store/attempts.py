"""What an attempt has to say about itself, beside what made it.

Not here: its results (store.queue.finish), which must not depend on the machine or the hour.
"""

from collections.abc import Mapping
from json import dumps, loads

from sqlalchemy import Engine, select, update
from sqlmodel import col

from store.engine import writing
from store.jobs import fence
from store.tables import Attempt


def add_provenance(engine: Engine, run_id: int, attempt: int, facts: Mapping[str, str]) -> None:
    """Add facts to the provenance of an attempt, which may go on for a while. Raises LeaseLost."""
    this = (col(Attempt.run_id) == run_id, col(Attempt.number) == attempt)
    with writing(engine, beside_others=True) as connection:
        fence(connection, run_id, attempt)
        known = loads(connection.execute(select(col(Attempt.provenance)).where(*this)).scalar_one())
        connection.execute(update(Attempt).where(*this).values(provenance=dumps(known | dict(facts))))
