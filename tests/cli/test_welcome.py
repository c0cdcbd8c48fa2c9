"""When `sluice up` shows its box: once the API is ready, and its consumer runs or cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sluice.cli import welcome
from sluice.core.ids import new_consumer_id
from sluice.core.task import ConsumerId


@asynccontextmanager
async def api(*consumers: ConsumerId) -> AsyncIterator[int]:
    """The port of something that answers as an API would that is ready and knows these consumers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        listed = ",".join(f'{{"id":"{consumer}","host":"h","pid":1}}' for consumer in consumers)
        body = f'{{"consumers":[{listed}]}}' if b"/health" in request else ""
        writer.write(f"HTTP/1.1 200 OK\r\n\r\n{body}".encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def consumes(port: int, after: ConsumerId, *, complains: bool = False) -> bool:
    return await welcome.until_ready("127.0.0.1", port, after=after, complains=lambda: complains)


async def test_a_consumer_that_came_after_the_start_is_waited_for() -> None:
    before, after = new_consumer_id(), new_consumer_id()
    async with api(before, after) as port:
        assert await consumes(port, before)


async def test_one_of_an_earlier_start_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(welcome, "CONSUMER", 0.3)
    earlier, start = new_consumer_id(), new_consumer_id()
    async with api(earlier) as port:
        assert not await consumes(port, start)


async def test_one_that_says_why_it_cannot_run_is_not_waited_for() -> None:
    async with api() as port:
        assert not await consumes(port, new_consumer_id(), complains=True)
