"""What the user says of runs that are stored: a note, and tags to find them by.

Not here: deleting runs (store.trash), and anything that a run itself reports.
"""

import re
from collections.abc import Collection
from json import dumps, loads
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlmodel import col

from store.engine import storable, writing
from store.errors import InvalidRemark
from store.jobs import job_row
from store.tables import Remark, table_of
from store.upserts import upsert

MAX_NOTE = 2000
"""Characters of a note."""

MAX_TAGS = 20
"""Tags of a run."""

_TAG = re.compile(r"(?!-)[\w.+/-]{1,40}")  # no blank and no leading hyphen: typed after other words


def set_note(engine: Engine, run_ids: Collection[int], note: str) -> None:
    """Put a note to the runs, all or none, in the place of what each had; an empty one takes it away.

    Raises RunNotFound or InvalidRemark.
    """
    note = storable(note.replace("\0", "")).strip()  # PostgreSQL stores no NUL
    check_note(note)
    with writing(engine) as connection:
        for run_id in run_ids:
            change_remark(connection, run_id, note=note)


def change_tags(
    engine: Engine, run_ids: Collection[int], *, add: Collection[str] = (), remove: Collection[str] = ()
) -> None:
    """Give tags to the runs and take others away, all or nothing; what is so already stays.

    Raises RunNotFound or InvalidRemark.
    """
    check_tags(add)
    with writing(engine) as connection:
        for run_id in run_ids:
            tags = ({*tags_of(_remark(connection, run_id)["tags"])} - {*remove}) | {*add}
            if len(tags) > MAX_TAGS:
                raise InvalidRemark(
                    f"run {run_id} would have {len(tags)} tags: {MAX_TAGS} are kept, remove some"
                )
            change_remark(connection, run_id, tags=dumps(sorted(tags)))


def check_note(note: str) -> None:
    """Raise InvalidRemark for a note that is too long."""
    if len(note) > MAX_NOTE:
        raise InvalidRemark(f"the note has {len(note):,} characters: {MAX_NOTE:,} are kept, shorten it")


def check_tags(tags: Collection[str]) -> None:
    """Raise InvalidRemark for the first invalid tag."""
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise InvalidRemark(f"invalid tag {tag!r}: use at most 40 letters, digits and . _ + / -")


def tags_of(stored: str | None) -> tuple[str, ...]:
    """Return the tags of a remark as stored, none where there is no remark."""
    return tuple(loads(stored)) if stored else ()


def change_remark(connection: Connection, run_id: int, **values: Any) -> None:
    """Change columns of the run's remark, which is made if there is none. Raises RunNotFound."""
    upsert(connection, table_of(Remark), [_remark(connection, run_id) | values])


def _remark(connection: Connection, run_id: int) -> dict[str, Any]:
    """Return the row of the run's remark, an empty one if there is none. Raises RunNotFound."""
    job_row(connection, run_id)
    found = connection.execute(select(table_of(Remark)).where(col(Remark.run_id) == run_id)).one_or_none()
    return dict(found._mapping) if found else {"run_id": run_id, "note": "", "tags": "[]", "trashed": None}
