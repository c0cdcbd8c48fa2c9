"""The check of the schema that every process makes."""

from __future__ import annotations

from db import schema
from db.session import make_engine


async def check(url: str) -> None:
    engine = make_engine(url, role="test", pool_size=1)
    try:
        await schema.check(engine)
    finally:
        await engine.dispose()
