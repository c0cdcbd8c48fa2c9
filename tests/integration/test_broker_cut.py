"""Breaking connections off while commands are under way (S2): they fail in our words, at whatever step they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sluice.core.errors import StoreUnavailable
from tests.support.stores import DEFAULT_LIST, Stores

STEPS = range(40)
"""More turns of the loop than a command takes, with a new connection or without."""


async def _in_our_words(act: Awaitable[object]) -> bool:
    """Whether it came to its end; any error but ours is the test's."""
    try:
        await act
    except StoreUnavailable:
        return False
    return True


@pytest.mark.parametrize("waiting", [False, True])
async def test_a_pop_that_is_cut_off_at_any_step_fails_in_our_words_and_the_next_one_works(
    stores: Stores, waiting: bool
) -> None:
    pop = stores.ready.pop_waiting if waiting else stores.ready.pop
    ended = []
    for steps in STEPS:
        await stores.redis("LPUSH", stores.keys.ready(DEFAULT_LIST), "0190163d-8694-739b-aea5-966c26f8ad90")
        async with asyncio.TaskGroup() as group:
            popping = group.create_task(_in_our_words(pop([DEFAULT_LIST], 1)))
            await _turns(steps)
            await stores.broker.cut()
        ended.append(popping.result())
        assert await _in_our_words(stores.ready.pop([DEFAULT_LIST], 1))
    assert False in ended


async def _turns(n: int) -> None:
    turn: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)  # noqa: E731 - one turn of the loop
    for _ in range(n):
        await turn()
