"""The statements, one file and one verb each, read once. Composes nothing."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from sqlalchemy import TextClause, text


@cache
def statement(name: str) -> TextClause:
    """`db/sql/<name>.sql`, ready to execute with named parameters."""
    return text(files("db.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8"))
