"""Inserting rows that replace those with the same primary key.

Not here: which rows, and the transaction they are written in.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite

from store import postgres

_ARRAYS = {int: "bigint", float: "double precision", str: "text"}  # PostgreSQL's words for Python's types


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows; where the primary key is already there, replace the other columns."""
    if not rows:
        return
    insert = postgres.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement: Any = insert(table)
    keys = [column.name for column in table.primary_key]
    values = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values), rows)


def upsert_many(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Do what upsert does, in less time, for rows in the order of the table's columns."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        # One statement with an array for each column: the server plans and answers once, not for each row.
        connection.exec_driver_sql(_of_arrays(table), _columns(table, rows))
    else:
        connection.exec_driver_sql(_of_rows(table), list(rows))


def _columns(table: Table, rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    """Return the rows' values by column; of rows with one key the last alone, as one statement wants it."""
    names = table.primary_key.columns.keys()
    places = [place for place, column in enumerate(table.columns) if column.name in names]
    newest = {tuple(row[place] for place in places): row for row in rows}
    return tuple(list(values) for values in zip(*newest.values(), strict=True))


@cache
def _of_rows(table: Table) -> str:
    places = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {_target(table)} VALUES ({places}) {_on_conflict(table)}"


@cache
def _of_arrays(table: Table) -> str:
    arrays = ", ".join(f"%b::{_ARRAYS[column.type.python_type]}[]" for column in table.columns)
    return f"INSERT INTO {_target(table)} SELECT * FROM unnest({arrays}) {_on_conflict(table)}"


def _target(table: Table) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    return f'"{table.name}" ({names})'


def _on_conflict(table: Table) -> str:
    keys = [f'"{column.name}"' for column in table.primary_key]
    others = [name for column in table.columns if (name := f'"{column.name}"') not in keys]
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    return f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
