"""What Valkey itself does a second: prebuilt bytes on one socket, and the same through redis-py as we use it.

Usage: python -m benchmarks.valkey_ceiling WAY SECONDS. Prints a line of JSON. The wheel holds a server and no load
generator, hence a plain blocking socket: it builds no command and reads no answer beyond counting its lines.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import uvloop
from redis.asyncio import Redis

from sluice.core.ids import new_task_id
from sluice.core.settings import StoreSettings, load

_KEY = "bench:ceiling"
_BATCH = 100
_PIPELINE = 100
_READ = 1 << 18
_PATIENCE = 10.0


def command(*words: object) -> bytes:
    """A command as it goes over the wire."""
    encoded = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)


class Wire:
    """One connection that sends the same bytes again and again."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(_PATIENCE)
            self._socket.connect(parts.path)
        else:
            address = (parts.hostname or "127.0.0.1", parts.port or 6379)
            self._socket = socket.create_connection(address, timeout=_PATIENCE)

    def ask(self, sent: bytes, lines: int) -> None:
        """Send, and read so many lines. Raises RuntimeError on an error."""
        self._socket.sendall(sent)
        while lines > 0:
            found = self._socket.recv(_READ)
            if not found or found.startswith(b"-"):
                raise RuntimeError(f"answered {found[:200]!r}")
            lines -= found.count(b"\n")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def on_the_wire(url: str, seconds: float, *, pipeline: int, ids: int) -> dict[str, Any]:
    """Pairs of LPUSH and LPOP, each of `ids` ids, `pipeline` pairs in one write."""
    wire = Wire(url)
    push = command("LPUSH", _KEY, *(new_task_id() for _ in range(ids)))
    pop = command("LPOP", _KEY, ids)
    sent, lines = (push + pop) * pipeline, (1 + 1 + 2 * ids) * pipeline
    pairs = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        wire.ask(sent, lines)
        pairs += pipeline
    took = time.perf_counter() - began
    wire.close()
    return {"commands": 2 * pairs, "ids": pairs * ids, "seconds": round(took, 4), "rate": 2 * pairs / took}


def through_the_client(url: str, seconds: float, *, ids: int) -> dict[str, Any]:
    """The same pairs through redis-py's asyncio client, one command at a time."""

    async def run() -> dict[str, Any]:
        redis = Redis.from_url(url)
        entries = [str(new_task_id()) for _ in range(ids)]
        pairs = 0
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            await redis.lpush(_KEY, *entries)
            await redis.lpop(_KEY, ids)
            pairs += 1
        took = time.perf_counter() - began
        await redis.aclose()
        return {
            "commands": 2 * pairs,
            "ids": pairs * ids,
            "seconds": round(took, 4),
            "rate": 2 * pairs / took,
        }

    return uvloop.run(run())


WAYS: dict[str, Callable[[str, float], dict[str, Any]]] = {
    "a pair at a time": lambda url, seconds: on_the_wire(url, seconds, pipeline=1, ids=1),
    "100 pairs at a time": lambda url, seconds: on_the_wire(url, seconds, pipeline=_PIPELINE, ids=1),
    "a pair of 100 ids at a time": lambda url, seconds: on_the_wire(url, seconds, pipeline=1, ids=_BATCH),
    "redis-py, one id a command": lambda url, seconds: through_the_client(url, seconds, ids=1),
    "redis-py, 100 ids a command": lambda url, seconds: through_the_client(url, seconds, ids=_BATCH),
}


def main(way: str, seconds: float) -> dict[str, Any]:
    """Measure one way; the key is left as it was found, empty."""
    url = load(StoreSettings).redis_url.get_secret_value()
    before = time.process_time()
    found = WAYS[way](url, seconds)
    return {**found, "client_cpu_share": round((time.process_time() - before) / found["seconds"], 3)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], float(sys.argv[2]))))
