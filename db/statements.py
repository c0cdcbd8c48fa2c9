"""The statements, one file and one verb each, read once. Composes nothing."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from sqlalchemy import TextClause, text

_PARAMETER = re.compile(r"(?P<comment>--.*)|(?<![:\w]):(?P<name>[a-z_]+)")


class Positional(NamedTuple):
    """A statement as the driver takes it: $1, $2 ... for the parameters of these names."""

    sql: str
    names: tuple[str, ...]


@cache
def statement(name: str) -> TextClause:
    """`db/sql/<name>.sql`, ready to execute with named parameters."""
    return text(_read(name))


@cache
def positional(name: str) -> Positional:
    """`db/sql/<name>.sql` for the driver itself. Its comments stay: pg_stat_activity then says what a statement is."""
    numbers: dict[str, int] = {}

    def numbered(found: re.Match[str]) -> str:
        if found["name"] is None:
            return found[0]
        return f"${numbers.setdefault(found['name'], len(numbers) + 1)}"

    sql = _PARAMETER.sub(numbered, _read(name))
    return Positional(sql, tuple(numbers))


def _read(name: str) -> str:
    return files("sluice.db.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")
