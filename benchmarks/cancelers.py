"""Those who cancel: each task of a list once, as fast as they are answered. Judge no answer.

Usage: python -m benchmarks.cancelers http IDS ANSWERS CONNECTIONS PORT | bare IDS ANSWERS CONNECTIONS.
IDS is a file of lines. ANSWERS is written: a line of id, status and the instant of the answer by the monotonic clock,
which all processes of a machine share. `bare` sends cancel.sql itself. Prints a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from benchmarks.load import Client, build
from sluice.core.settings import StoreSettings, load
from sluice.db.statements import positional

Answered = Callable[[str, int], None]
CANCELED, ENDED = 200, 409
_PATIENCE = 120.0


async def http(ids: list[str], answered: Answered, connections: int, port: int) -> None:
    """PATCH each, on connections that are kept alive."""
    loop = asyncio.get_running_loop()
    requests = [build(port, f"/tasks/{one}", {"status": "canceled"}, method="PATCH") for one in ids]
    all_done = loop.create_future()
    open_still = 0
    asked: dict[Client, int] = {}
    numbers = iter(range(len(ids)))

    def ask(client: Client) -> None:
        nonlocal open_still
        number = next(numbers, None)
        if number is not None:
            asked[client] = number
            client.send(requests[number])
            return
        client.close()
        open_still -= 1
        if not open_still:
            all_done.set_result(None)

    def hear(client: Client, status: int, _latency: float) -> None:
        answered(ids[asked[client]], status)
        ask(client)

    clients = []
    for _ in range(connections):
        _transport, client = await loop.create_connection(lambda: Client(b"", hear), "127.0.0.1", port)
        clients.append(client)
    open_still = len(clients)
    for client in clients:
        ask(client)
    async with asyncio.timeout(_PATIENCE):
        await all_done


async def bare(ids: list[str], answered: Answered, connections: int) -> None:
    """One statement for each, on plain connections. Nobody tells the consumer."""
    url = load(StoreSettings).database_url.get_secret_value()
    sql, _names = positional("cancel")
    left = iter(ids)

    async def walk(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        prepared = await connection.prepare(sql)
        for one in left:
            answered(one, ENDED if await prepared.fetchrow(one) is None else CANCELED)

    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(connections):
            opened.append(await asyncpg.connect(url))
            stack.push_async_callback(opened[-1].close)
        async with asyncio.TaskGroup() as group:
            for connection in opened:
                group.create_task(walk(connection))


async def cancel(
    way: str, ids: list[str], answers: list[tuple[str, int, float]], numbers: list[int]
) -> dict[str, Any]:
    """Cancel each and gather the answers; how many there were of each and how long all took."""
    ways: dict[str, Callable[..., Any]] = {"http": http, "bare": bare}
    spent, began = time.process_time(), time.monotonic()
    await ways[way](ids, lambda one, status: answers.append((one, status, time.monotonic())), *numbers)
    return {
        "statuses": {str(status): n for status, n in Counter(status for _, status, _ in answers).items()},
        "seconds": answers[-1][2] - began,
        "cpu_seconds": round(time.process_time() - spent, 3),
    }


def main(way: str, ids_file: str, answers_file: str, *numbers: str) -> dict[str, Any]:
    """Do it and write the answers down; what to print."""
    answers: list[tuple[str, int, float]] = []
    ids = Path(ids_file).read_text(encoding="utf-8").split()
    found = uvloop.run(cancel(way, ids, answers, [int(word) for word in numbers]))
    lines = "".join(f"{one} {status} {at}\n" for one, status, at in answers)
    Path(answers_file).write_text(lines, encoding="utf-8")
    return found


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
