from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from tests.simulation.loop import SimLoop, Stuck, make_loop


def run(make: Callable[[SimLoop], Coroutine[Any, Any, Any]], seed: int = 1, max_steps: int = 10_000) -> Any:
    faults: list[str] = []
    loop = make_loop(Random(seed), max_steps=max_steps, faulted=faults.append)
    try:
        return loop.run_until_complete(make(loop))
    finally:
        loop.close()
        assert faults == []


def test_a_year_passes_at_once() -> None:
    async def life(loop: SimLoop) -> float:
        await asyncio.sleep(365 * 24 * 3600)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(5))
        return loop.time()

    assert run(life) == 365 * 24 * 3600 + 5


def order(seed: int) -> list[str]:
    async def life(loop: SimLoop) -> list[str]:
        seen: list[str] = []

        async def tick(name: str) -> None:
            for number in range(3):
                await asyncio.sleep(0.1)
                seen.append(f"{name}{number}")

        hosts = [loop.host(name) for name in "abc"]
        await asyncio.wait([loop.spawn(host, tick(host.name)) for host in hosts])
        return seen

    found: list[str] = run(life, seed)
    return found


def test_the_seed_decides_who_is_first_among_equals() -> None:
    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(10)}) > 5


def test_callbacks_of_one_host_keep_their_order() -> None:
    async def life(loop: SimLoop) -> list[int]:
        seen: list[int] = []
        for number in range(20):
            loop.call_soon(seen.append, number)
        await asyncio.sleep(1)
        return seen

    assert run(life) == list(range(20))


def test_a_paused_host_finds_its_timers_due_when_it_goes_on_and_a_dead_one_never_goes_on() -> None:
    async def life(loop: SimLoop) -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []

        async def say(name: str) -> None:
            await asyncio.sleep(1)
            seen.append((name, loop.time()))

        paused, dead = loop.host("paused"), loop.host("dead")
        begun = [loop.spawn(host, say(host.name)) for host in (paused, dead)]
        await asyncio.sleep(0.5)
        paused.pause()
        dead.die()
        await asyncio.sleep(2.5)
        paused.resume()
        await asyncio.sleep(1)
        assert [task.done() for task in begun] == [True, False]
        return seen

    assert run(life) == [("paused", 3.0)]


def test_tasks_in_a_set_are_walked_in_the_same_order_in_every_run() -> None:
    async def life(loop: SimLoop) -> list[int]:
        tasks = {loop.create_task(asyncio.sleep(number)) for number in (3, 1, 2)}  # owner: this set
        await asyncio.wait(tasks)
        return [task.number for task in tasks]

    assert run(life) == run(life)


def test_threads_and_files_are_refused() -> None:
    async def life(loop: SimLoop) -> None:
        with pytest.raises(NotImplementedError):
            await asyncio.to_thread(print)
        with pytest.raises(NotImplementedError):
            await asyncio.open_connection("127.0.0.1", 1)

    run(life)


def test_what_waits_for_nothing_and_what_does_not_end_are_told() -> None:
    async def waits(loop: SimLoop) -> None:
        await loop.create_future()

    async def spins(_: SimLoop) -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="nothing is left to wait for"):
        run(waits)
    with pytest.raises(Stuck, match="no end after"):
        run(spins)


def test_an_error_that_nobody_caught_is_told() -> None:
    faults: list[str] = []
    loop = make_loop(Random(1), max_steps=1000, faulted=faults.append)

    async def fails() -> None:
        raise ValueError("nobody looks")

    async def life() -> None:
        loop.call_soon(int, "no number")
        await asyncio.wait([loop.create_task(fails())])  # owner: the line itself

    loop.run_until_complete(life())
    loop.close()
    assert any("no number" in fault for fault in faults)
