"""Kinds that nobody serves are found in turn, a bounded number at a look, and told in a few sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest

from sluice.api import unserved as module
from sluice.api.depths import Counted
from sluice.api.unserved import (
    MOST_KEPT,
    MOST_SENTENCES,
    UnservedKinds,
    of_kinds,
    of_nobody_alive,
    of_queues,
    unserved,
)
from sluice.core.audience import Audiences, Signature
from sluice.core.task import Kind, QueueName
from tests.unit.support import virtual

AT = datetime(2026, 11, 30, tzinfo=UTC)
A, B = QueueName("a"), QueueName("b")
SERVED = Kind("served")
Pair = tuple[QueueName, Kind]


class Rows:
    """Pending rows by queue and kind, and the roster of those who serve."""

    def __init__(self, pairs: Iterable[Pair], *live: Signature) -> None:
        self.pairs = set(pairs)
        self.audiences = Audiences(live)
        self.asked: list[tuple[list[QueueName], list[str]]] = []

    async def waiting_kinds(self, queues: Sequence[QueueName], afters: Sequence[str], n: int) -> list[Pair]:
        self.asked.append((list(queues), list(afters)))
        starts = zip(queues, afters, strict=True)
        return [
            pair
            for name, after in starts
            for pair in sorted(self.pairs)
            if pair[0] == name and pair[1] > after
        ][:n]

    async def step(self) -> None:
        """Everybody who is alive is known."""


def kinds(n: int, queue: QueueName = A) -> list[Pair]:
    return [(queue, Kind(f"k{at:04}")) for at in range(n)]


def serving(*queues: QueueName) -> Signature:
    return Signature.of(queues, [SERVED])


@virtual
async def test_a_kind_is_shown_while_its_tasks_wait_in_a_queue_whose_consumers_lack_it() -> None:
    gone = Kind("gone")
    rows = Rows([(A, SERVED), (A, gone), (B, gone)], serving(A), Signature.of([B], [gone]))
    found = UnservedKinds(rows, rows)
    await found.look([A, B])
    assert found.shown == [(A, gone)]
    assert of_kinds(found) == [
        (
            "tasks of kind gone wait in queue a and no live consumer of that queue has the kind: "
            "start one whose HANDLERS has it"
        )
    ]

    rows.pairs.discard((A, gone))
    await found.look([A, B])
    assert found.shown == []
    rows.pairs.add((A, gone))
    await found.look([A, B])
    rows.audiences = Audiences([Signature.of([A], [SERVED, gone])])
    assert found.shown == [], "somebody came meanwhile"
    rows.audiences = Audiences([serving(B)])
    await found.look([B])
    assert found.shown == [(B, gone)], "what waits in a queue that nobody serves is the queue's matter"


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 100])
def test_a_lap_comes_to_every_kind_of_every_queue_whatever_one_look_reads(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KINDS_AT_ONCE", at_once)
    monkeypatch.setattr(module, "QUEUES_AT_ONCE", 2)
    queues = [QueueName(f"q{n}") for n in range(5)]
    pairs = [*kinds(4, queues[0]), *kinds(1, queues[1]), *kinds(6, queues[4]), (queues[2], SERVED)]

    @virtual
    async def scene() -> None:
        rows = Rows(pairs, serving(*queues))
        found = UnservedKinds(rows, rows)
        for _ in range(len(pairs) // at_once + 4):
            await found.look(queues)
        assert found.shown == sorted(set(pairs) - {(queues[2], SERVED)})
        assert all(len(asked) <= 2 for asked, _ in rows.asked)

        rows.pairs = set(kinds(1, queues[4]))
        for _ in range(2 * (len(pairs) // at_once + 4)):
            await found.look(queues)
        assert found.shown == kinds(1, queues[4])

    scene()


@virtual
async def test_a_queue_that_is_served_no_more_in_the_middle_of_a_lap_ends_nothing() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "KINDS_AT_ONCE", 2)
        rows = Rows([*kinds(5, A), *kinds(1, B)], serving(A, B))
        found = UnservedKinds(rows, rows)
        await found.look([A, B])
        rows.audiences = Audiences([serving(B)])
        await found.look([B])
        assert rows.asked[-1] == ([B], [""])
        assert found.shown == kinds(1, B)
        await found.look([])
        assert found.shown == []


@virtual
async def test_of_any_number_a_bounded_one_is_kept_and_said_and_the_others_are_counted() -> None:
    n = MOST_KEPT + 50
    rows = Rows(kinds(n), serving(A))
    found = UnservedKinds(rows, rows)
    await found.look([A])
    assert (len(found.shown), found.more) == (MOST_KEPT, 50)
    said = of_kinds(found)
    assert len(said) == MOST_SENTENCES + 1
    assert said[-1] == f"tasks of {n - MOST_SENTENCES} more kinds wait that no live consumer has"


def queues(**depths: int | None) -> dict[str, Counted]:
    return {name: Counted(depth, AT) for name, depth in depths.items()}


@pytest.mark.parametrize(
    ("waiting", "unnamed", "said"),
    [
        ({}, 0, []),
        ({"a": 0}, 0, []),
        ({"a": 1}, 0, ["1 task waits and no consumer is alive"]),
        ({"a": 1, "b": 1}, 0, ["2 tasks wait and no consumer is alive"]),
        ({"a": 1, "b": None}, 0, ["at least 1 task waits and no consumer is alive"]),
        ({"a": 10_000, "b": 5}, 0, ["at least 10,005 tasks wait and no consumer is alive"]),
        ({"a": 5}, 1, ["at least 5 tasks wait and no consumer is alive"]),
        ({"a": None}, 0, ["tasks wait and no consumer is alive"]),
    ],
)
def test_how_many_wait_when_nobody_is_alive(
    waiting: dict[str, int | None], unnamed: int, said: list[str]
) -> None:
    assert of_nobody_alive(queues(**waiting), unnamed) == said


def test_queues_that_hold_tasks_and_are_not_served_are_told_one_by_one_and_then_counted() -> None:
    there = queues(served=7, empty=0, one=1, many=10_000, new=None)
    names = unserved(there, {"served"})
    assert names == ["one", "many", "new"]
    assert of_queues(names, there, 0) == [
        "queue one holds 1 task and no live consumer serves it: start one with QUEUES=one",
        "queue many holds at least 10,000 tasks and no live consumer serves it: start one with QUEUES=many",
        "queue new holds tasks and no live consumer serves it: start one with QUEUES=new",
    ]
    there = queues(**{f"q{n}": 1 for n in range(MOST_SENTENCES + 2)})
    said = of_queues(list(there), there, 40)
    assert said[MOST_SENTENCES:] == ["42 more queues hold tasks and no live consumer serves them"]
    assert of_queues([], there, 40) == [], "those that are not named may be served"
