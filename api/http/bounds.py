"""What uvicorn leaves open: how many connections, what they read on, what comes behind a body, offers of protocols."""

from __future__ import annotations

import asyncio
import resource
from collections import deque
from collections.abc import Iterable
from functools import cache
from typing import Any

from sluice.api.http.uvicorn_inside import FlowControl
from sluice.api.problems.errors import Trailers

SPARE_FILES = 100
"""File descriptors that connections leave for the stores, the log and the library."""


@cache
def most_connections() -> int:
    """Beyond this accepting one more would take the files with which the stores are reached."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if soft == resource.RLIM_INFINITY else max(soft - SPARE_FILES, soft // 2)


class Flow(FlowControl):
    """Reads on only when nothing that was read waits."""

    def __init__(self, transport: asyncio.Transport, pipeline: deque[Any]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class NoMore(list[tuple[bytes, bytes]]):
    """The headers of a request whose head is whole: the parser would add its trailers."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        raise Trailers


NO_MORE = NoMore()


def without_offer(method: bytes, url: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the head of the same request that offers no other protocol."""
    headers = list(headers)
    kept = [name + b": " + value for name, value in headers if name not in {b"upgrade", b"connection"}]
    options = b",".join(value for name, value in headers if name == b"connection").lower()
    if b"close" in {option.strip() for option in options.split(b",")}:
        kept.append(b"connection: close")
    return b"\r\n".join((b" ".join((method, url, b"HTTP/1.1")), *kept, b"\r\n"))
