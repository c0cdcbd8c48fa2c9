"""What clients submit: kinds in their shares, queues, priorities, and what a fault asks for. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

COMPUTE, DELAYED, EFFECT, FLAKY = "chaos.compute", "chaos.delayed", "chaos.effect", "chaos.flaky"
OTHERS = ("chaos.other", "chaos.other.thread")
"""Kinds that one consumer alone serves, on the queues of all."""
UNSERVED = "chaos.unserved"
"""A kind that nobody serves. The nemesis writes such rows itself; no verdict is passed on them."""
LARGE_BYTES = 1_000_000
Draw = Callable[[Random], dict[str, Any]]


class Asked(NamedTuple):
    """A submission that a fault asks for, canceled after so many seconds if at all."""

    body: dict[str, Any]
    cancel_after: float | None = None


def queues(many: int) -> tuple[str, ...]:
    """The queues of a run: the first takes most, each other one now and then a task."""
    return ("default", *(f"tenant-{number:04}" for number in range(1, many)))


def draw(random: Random, many: int) -> dict[str, Any]:
    """One submission of the mix, to one of so many queues."""
    (kind,) = random.choices(_KINDS, _SHARES)
    body = {**kind(random)}
    if random.random() < 0.15:
        body["queue"] = random.choice(queues(many))
    if random.random() < 0.1:
        body["priority"] = random.choice((0, 9))
    return body


def _seconds(random: Random, least: float, most: float) -> dict[str, float]:
    return {"seconds": round(random.uniform(least, most), 4)}


def _other(random: Random) -> dict[str, Any]:
    return {"kind": random.choice(OTHERS), "payload": _seconds(random, 0, 0.03)}


_MIX: tuple[tuple[float, Draw], ...] = (
    (0.36, lambda _: {"kind": "chaos.noop"}),
    (0.15, lambda random: {"kind": "chaos.nap", "payload": _seconds(random, 0.005, 0.06)}),
    (0.08, lambda random: {"kind": FLAKY, "payload": {"times": random.choice((1, 1, 2))}}),
    (0.11, lambda random: {"kind": "chaos.thread", "payload": _seconds(random, 0.005, 0.03)}),
    (0.005, lambda _: {"kind": COMPUTE, "payload": {"seconds": 0.01}}),
    (0.16, lambda random: {"kind": EFFECT, "payload": _seconds(random, 0, 0.03)}),
    (0.02, lambda random: {"kind": DELAYED, "delay": round(random.uniform(0.1, 2.0), 2)}),
    (0.03, lambda random: {"kind": "chaos.nap", "payload": _seconds(random, 0.5, 1.5)}),
    (0.084, _other),
    (0.001, lambda _: {"kind": "chaos.large", "payload": {"bytes": LARGE_BYTES}}),
)
_SHARES, _KINDS = tuple(zip(*_MIX, strict=True))
