"""The product's own statements, for drivers that go without SQLAlchemy. Holds no SQL of its own."""

from __future__ import annotations

import re
from importlib.resources import files

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")
_COMMENT = re.compile(r"--.*")


def positional(name: str) -> tuple[str, list[str]]:
    """`db/sql/<name>.sql` with $1, $2 ... as asyncpg takes it, and the parameters' names in that order."""
    sql = _COMMENT.sub("", files("db.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8"))
    names = list(dict.fromkeys(_PARAMETER.findall(sql)))
    return _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", sql), names
