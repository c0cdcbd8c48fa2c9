"""Which schema this code needs, and which one the database has. Changes nothing.

The revisions stand here too, so that a starting API or consumer tells behind from ahead without loading Alembic;
a test compares them with `alembic/versions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sluice.core.errors import ConfigurationError, SchemaAhead, SchemaBehind, TakesNoWrites
from sluice.db.faults import postgresql_in_our_words
from sluice.db.statements import statement

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every revision, oldest first. The first digit is the major: within one, a schema serves the code before it."""

HEAD = REVISIONS[-1]

TABLES = ("consumers", "kinds", "tasks", "upkeep")
"""What the role of an API or a consumer must be able to use; a test compares them with the models."""

VERSION_TABLE = "sluice_version"
"""Where Alembic keeps our revision. Its own name for it belongs to whoever else uses Alembic on the database."""

FORMER_VERSION_TABLE = "alembic_version"

_FIRST_TABLES = {
    "consumers": "lease_seconds",
    "kinds": "payload_schema",
    "tasks": "fencing_token",
    "upkeep": "next_run_at",
}
"""The tables of before VERSION_TABLE, each with a column that tells it from a stranger's of the same name."""

_READ_ONLY = text("SELECT current_setting('transaction_read_only') = 'on'")
_REVISION = re.compile(r"\d{4}")


@dataclass(frozen=True, slots=True)
class Found:
    """What a database holds of ours.

    `revision` None: nothing. Unless it is `recorded`, it was told from the tables of before VERSION_TABLE.
    `tables` has what there is under our names, in `schema` or, when that is empty, on the search path.
    """

    schema: str
    tables: Mapping[str, Row[Any]]
    revision: str | None
    recorded: bool


async def check(engine: AsyncEngine, schema: str = "") -> None:
    """Whether this code can use the database. Four round trips, no lock.

    Raises SchemaBehind or SchemaAhead when it cannot, ConfigurationError when the role may not use the tables or they
    are somebody else's, and StoreUnavailable, which is TakesNoWrites when PostgreSQL may only be read.
    """
    with postgresql_in_our_words():
        async with engine.connect() as connection:
            await refuse_read_only(connection)
            found = await connection.run_sync(look, schema)
    judge(found)
    if found.revision == HEAD and (missing := [name for name in TABLES if name not in found.tables]):
        raise ConfigurationError(
            f"{_place(schema)} lacks {', '.join(missing)}: restore it from a backup, "
            f"or drop {VERSION_TABLE} and what is left, and run `sluice migrate`"
        )


async def refuse_read_only(connection: AsyncConnection) -> None:
    """Raise TakesNoWrites when PostgreSQL may only be read. One round trip.

    The connection is given up then: a session may stay read-only where a new one is not.
    """
    if await connection.scalar(_READ_ONLY):
        await connection.invalidate()
        raise TakesNoWrites


def judge(found: Found) -> None:
    """Raise SchemaBehind or SchemaAhead unless this code works with what was found."""
    revision = found.revision
    if revision is None or revision < HEAD or not found.recorded:
        raise SchemaBehind(revision, HEAD, where=_place(found.schema), recorded=found.recorded)
    if not serves(revision):
        raise SchemaAhead(revision, HEAD)


def serves(revision: str) -> bool:
    """Whether this code works with a database at `revision`: its own, or a later one of the same major."""
    return _REVISION.fullmatch(revision) is not None and revision[0] == HEAD[0] and int(revision) >= int(HEAD)


def look(connection: Connection, schema: str) -> Found:
    """Find what is ours. Two round trips, one more for tables of before VERSION_TABLE.

    Raises ConfigurationError when the role may not use it, or when it is somebody else's.
    """
    marks = {**dict.fromkeys(TABLES, ""), **_FIRST_TABLES}
    marks |= dict.fromkeys((VERSION_TABLE, FORMER_VERSION_TABLE), "version_num")
    rows = connection.execute(
        statement("look_at_tables"), {"names": list(marks), "marks": list(marks.values()), "schema": schema}
    ).all()
    tables = {row.name: row for row in rows}
    _refuse_rights(row for name, row in tables.items() if name != FORMER_VERSION_TABLE)
    _refuse_foreign(
        [name for name in (*_FIRST_TABLES, VERSION_TABLE) if name in tables and not tables[name].marked],
        schema,
    )
    recorded = versions(connection, tables[VERSION_TABLE]) if VERSION_TABLE in tables else []
    if recorded:
        return Found(schema, tables, max(recorded), recorded=True)
    revision = _told_from_tables(connection, tables)
    if revision is None:
        _refuse_foreign([name for name in TABLES if name in tables], schema)
    return Found(schema, tables, revision, recorded=False)


def versions(connection: Connection, table: Row[Any]) -> list[str]:
    """The revisions in one of Alembic's tables."""
    name = f"{quoted(table.space)}.{table.name}"
    return list(connection.scalars(text(f"SELECT version_num FROM {name}")))  # noqa: S608 - quoted


def quoted(name: str) -> str:
    """`name` as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def _told_from_tables(connection: Connection, tables: Mapping[str, Row[Any]]) -> str | None:
    """The revision of before VERSION_TABLE; None when the tables are not all there, or not ours."""
    found = [tables[name] for name in _FIRST_TABLES if name in tables]
    if len(found) < len(_FIRST_TABLES) or not all(table.marked for table in found):
        return None
    if len({table.space for table in found}) > 1:
        return None
    told: str = connection.execute(statement("tell_revision"), {"space": found[0].space}).scalar_one()
    return told


def _refuse_rights(tables: Iterable[Row[Any]]) -> None:
    tables = list(tables)
    if closed := next((table.space for table in tables if not table.usable), None):
        raise ConfigurationError(f"the database role may not use the schema {closed}: grant it USAGE")
    forbidden = sorted(
        table.name
        for table in tables
        if not (table.readable and (table.writable or table.name == VERSION_TABLE))
    )
    if forbidden:
        raise ConfigurationError(
            f"the database role may not use {', '.join(forbidden)}: grant it SELECT, INSERT, UPDATE and DELETE"
        )


def _refuse_foreign(names: list[str], schema: str) -> None:
    if names:
        raise ConfigurationError(
            f"{_place(schema)} holds tables of somebody else ({', '.join(names)}): "
            "set SLUICE_SCHEMA to a schema for Sluice's own"
        )


def _place(schema: str) -> str:
    return f"the schema {schema}" if schema else "the database"
