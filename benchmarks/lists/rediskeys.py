"""What lies in Redis, whoever put it there: every key with its type, its length and when it ends. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.stage import Stage
from sluice.db.broker import ask

FOR_EVER = -1
_LENGTH = {
    "list": "LLEN",
    "set": "SCARD",
    "zset": "ZCARD",
    "hash": "HLEN",
    "stream": "XLEN",
    "string": "STRLEN",
}


@dataclass(frozen=True, slots=True)
class Key:
    """`seconds` until it goes by itself, FOR_EVER when it never does."""

    name: str
    kind: str
    length: int
    seconds: int


async def keys(stage: Stage) -> list[Key]:
    """All of them, by name. One that goes meanwhile is left out."""
    found = []
    async for name in stage.redis.scan_iter("*"):
        kind = bytes(await ask(stage.redis, "TYPE", name)).decode()
        seconds = int(await stage.redis.ttl(name))
        if kind in _LENGTH and seconds >= FOR_EVER:
            length = int(await ask(stage.redis, _LENGTH[kind], name))
            found.append(Key(name.decode("utf-8", "replace"), kind, length, seconds))
    return sorted(found, key=lambda key: key.name)


async def entries(stage: Stage) -> int:
    """How many entries all lists hold together."""
    return sum(key.length for key in await keys(stage) if key.kind == "list")
