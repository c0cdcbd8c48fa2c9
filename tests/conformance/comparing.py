"""Answers in a form in which both stores' can be compared: where the contract has no order, neither has it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import timedelta
from operator import attrgetter
from typing import Any

from sluice.core.errors import SluiceError
from sluice.core.task import RunKey
from sluice.db.claims import Batch, Written
from sluice.db.upkeep import Reaped
from tests.conformance.world import World


async def answer(act: Awaitable[object]) -> object:
    """What came of it, in a form that has no order where the contract has none."""
    try:
        answer = await act
    except SluiceError as error:
        return type(error), {name: value for name, value in vars(error).items() if name != "reason"}
    if isinstance(answer, Written):
        return answer.rows, sorted(answer.pending, key=lambda row: row.id)
    if isinstance(answer, Batch):
        return sorted(answer.claims, key=lambda claim: claim.id), answer.ends
    if isinstance(answer, list) and answer and hasattr(answer[0], "token"):
        return sorted(answer, key=lambda claim: claim.id)
    return answer


async def in_order(found: Awaitable[list[Any]]) -> list[Any]:
    return sorted(await found)


async def members(world: World) -> object:
    names = sorted(await world.consumers.signatures())
    return sorted(await world.consumers.signature_members(names), key=lambda each: each.name)


async def reaped(world: World, dead: Sequence[RunKey], spread: timedelta) -> list[Reaped]:
    """What a reap took back, by id; how long its consumer was silent each of them knows by a clock of its own."""
    done = await world.upkeep.reap(dead, spread)
    return sorted((replace(each, silent=None) for each in done), key=attrgetter("id"))
