"""The clients of the submit benchmark: raw sockets, kept alive, requests built beforehand. Judges no answer.

Usage: python -m benchmarks.load closed PORT PATH CONNECTIONS SECONDS TASKS  (TASKS in each request; 0: a single one)
       python -m benchmarks.load open PORT PATH REQUESTS PER_SECOND
Prints a line of JSON. The first fifth of a closed loop warms up and is not counted.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import uvloop

from benchmarks.bare import schedule

SINGLE = {"message": "Hello World"}
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_WARM_UP = 0.2
_TOLD = 300  # bytes of an answer that is no success


class Client(asyncio.Protocol):
    """One connection that sends a request, its own or another, and says when its answer is complete.

    `refusal` is the body of the last answer that was none of success.
    """

    def __init__(self, request: bytes, answered: Callable[[Client, int, float], None]) -> None:
        self._request = request
        self._answered = answered
        self.refusal = b""
        self._buffer = b""
        self._size = 0
        self._status = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has another base

    def send(self, request: bytes | None = None) -> None:
        """Send the request."""
        if self._transport is None:
            raise RuntimeError("not connected")
        self._sent_at = time.perf_counter()
        self._transport.write(self._request if request is None else request)

    def data_received(self, data: bytes) -> None:
        """Read until head and body are whole. No answer of these servers is chunked."""
        self._buffer = self._buffer + data if self._buffer else data
        if not self._size:
            head, end, _ = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            length = _LENGTH.search(head)
            if length is None:
                raise RuntimeError(f"an answer without its length: {head!r}")
            self._status = int(head[9:12])
            self._size = len(head) + 4 + int(length[1])
        if len(self._buffer) >= self._size:
            if self._status >= 400:
                self.refusal = self._buffer.partition(b"\r\n\r\n")[2]
            self._buffer, self._size = b"", 0
            self._answered(self, self._status, time.perf_counter() - self._sent_at)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to do: a server that hangs up too early is seen by the answers that are missing."""

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


def build(port: int, path: str, body: object, *, method: str = "POST") -> bytes:
    """A request as bytes."""
    encoded = json.dumps(body, separators=(",", ":")).encode()
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(encoded)}\r\n\r\n"
    ).encode() + encoded


async def closed(port: int, path: str, connections: int, seconds: float, tasks: int) -> dict[str, Any]:
    """Each connection sends its next request as soon as its last one was answered."""
    loop = asyncio.get_running_loop()
    request = build(port, path, {"tasks": [SINGLE] * tasks} if tasks else SINGLE)
    statuses: Counter[int] = Counter()
    refusals: Counter[str] = Counter()
    took: list[float] = []
    began = time.perf_counter()
    counted_from, ends = began + seconds * _WARM_UP, began + seconds
    open_still = connections
    all_done = loop.create_future()

    def answered(client: Client, status: int, latency: float) -> None:
        nonlocal open_still
        statuses[status] += 1
        now = time.perf_counter()
        if status >= 400:
            refusals[client.refusal[:_TOLD].decode(errors="replace")] += 1
        if counted_from <= now < ends:
            took.append(latency)
        if now < ends:
            client.send()
            return
        client.close()
        open_still -= 1
        if not open_still:
            all_done.set_result(None)

    for _ in range(connections):
        _transport, client = await loop.create_connection(
            lambda: Client(request, answered), "127.0.0.1", port
        )
        client.send()
    async with asyncio.timeout(seconds + 30):
        await all_done
    told = {"refusals": refusals} if refusals else {}
    return {**_summary(statuses, took), **told, "rate": len(took) * max(1, tasks) / (ends - counted_from)}


async def open_loop(port: int, path: str, requests: int, rate: float) -> dict[str, Any]:
    """Requests are sent when they are due, whatever became of the ones before."""
    loop = asyncio.get_running_loop()
    statuses: Counter[int] = Counter()
    took: list[float] = []
    all_done = loop.create_future()

    def answered(client: Client, status: int, latency: float) -> None:
        statuses[status] += 1
        took.append(latency)
        idle.append(client)
        if len(took) == requests:
            all_done.set_result(None)

    async def connect() -> Client:
        _transport, client = await loop.create_connection(
            lambda: Client(build(port, path, SINGLE), answered), "127.0.0.1", port
        )
        return client

    idle = [await connect() for _ in range(4)]
    for at in schedule(requests, rate):
        await asyncio.sleep(at - time.monotonic())
        (idle.pop() if idle else await connect()).send()
    async with asyncio.timeout(30):
        await all_done
    return _summary(statuses, took)


def _summary(statuses: Counter[int], took: list[float]) -> dict[str, Any]:
    took.sort()
    milliseconds = {
        f"p{percent}": round(1000 * took[min(len(took) - 1, len(took) * percent // 100)], 3)
        for percent in (50, 99)
    }
    return {
        "statuses": {str(status): n for status, n in statuses.items()},
        "answer_ms": {**milliseconds, "max": round(1000 * took[-1], 3)} if took else {},
    }


async def main(kind: str, port: str, path: str, *numbers: str) -> dict[str, Any]:
    """Do what the command line says; what to print, with the share of a processor that it took."""
    began, spent = time.monotonic(), time.process_time()
    if kind == "closed":
        connections, seconds, tasks = numbers
        found = await closed(int(port), path, int(connections), float(seconds), int(tasks))
    else:
        requests, rate = numbers
        found = await open_loop(int(port), path, int(requests), float(rate))
    share = (time.process_time() - spent) / (time.monotonic() - began)
    return {**found, "client_cpu_share": round(share, 3)}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(*sys.argv[1:]))))
