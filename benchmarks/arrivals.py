"""Single tasks over HTTP at random instants that are chosen before the first is sent. Judges no answer.

Usage: python -m benchmarks.arrivals PORT PER_SECOND SECONDS. Prints a line of JSON.
Each task's message is the instant at which it was meant to be sent, in seconds of the machine's clock, which is also
PostgreSQL's: whoever reads the row knows how long the task has waited, the time before it was sent included.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter, deque
from typing import Any

import uvloop

from benchmarks.load import Client, build
from benchmarks.quantiles import told

PATH = "/tasks"
CONNECTIONS = 256
"""A request that finds all of them busy waits for one, and that counts."""
_TICK = 0.001
_AHEAD = 1.0
_PATIENCE = 30.0


def instants(rate: float, seconds: float, begin: float) -> list[float]:
    """A Poisson process: pauses are exponential, whatever came before."""
    found = []
    at = begin + random.expovariate(rate)
    while at < begin + seconds:
        found.append(at)
        at += random.expovariate(rate)
    return found


async def send(port: int, planned: list[float]) -> dict[str, Any]:
    """Send each when its time has come, whatever became of the ones before; answers, and how late it was sent."""
    loop = asyncio.get_running_loop()
    requests = [build(port, PATH, {"message": repr(at)}) for at in planned]
    statuses: Counter[int] = Counter()
    late: list[float] = []
    waiting: deque[int] = deque()
    idle: deque[Client] = deque()
    all_done = loop.create_future()
    found_none = 0

    def dispatch(client: Client, number: int) -> None:
        late.append(1000 * (time.time() - planned[number]))
        client.send(requests[number])

    def answered(client: Client, status: int, _latency: float) -> None:
        statuses[status] += 1
        if waiting:
            dispatch(client, waiting.popleft())
        else:
            idle.append(client)
        if statuses.total() == len(planned):
            all_done.set_result(None)

    for _ in range(CONNECTIONS):
        _transport, client = await loop.create_connection(lambda: Client(b"", answered), "127.0.0.1", port)
        idle.append(client)
    number = 0
    while number < len(planned):
        # The event loop's timers are no finer than this: those that are due by then leave together, a little late.
        await asyncio.sleep(max(_TICK, planned[number] - time.time()))
        while number < len(planned) and planned[number] <= time.time():
            if idle:
                # The one that rested longest: a server hangs up on connections that nobody uses for seconds.
                dispatch(idle.popleft(), number)
            else:
                found_none += 1
                waiting.append(number)
            number += 1
    async with asyncio.timeout(_PATIENCE):
        await all_done
    return {
        "statuses": {str(status): n for status, n in statuses.items()},
        "sent_late": told(late, "ms"),
        "found_no_connection": found_none,
    }


async def main(port: int, rate: float, seconds: float) -> dict[str, Any]:
    """Plan, send, and say how it went and how far the clock was moved meanwhile."""
    spent = time.process_time()
    planned = instants(rate, seconds, time.time() + _AHEAD)
    wall, monotonic = time.time(), time.monotonic()
    found = await send(port, planned)
    moved = (time.time() - wall) - (time.monotonic() - monotonic)
    return {
        **found,
        "requests": len(planned),
        "clock_moved_ms": round(1000 * moved, 3),
        "cpu_seconds": round(time.process_time() - spent, 3),
        "client_cpu_share": round((time.process_time() - spent) / (time.monotonic() - monotonic), 3),
    }


if __name__ == "__main__":
    number, per_second, length = sys.argv[1:]
    print(json.dumps(uvloop.run(main(int(number), float(per_second), float(length)))))
