"""The life of tasks on real PostgreSQL against a model of dicts: any order of events, stale claims and lost ids too.

A longer run than the suite's, with new examples each time and failures made small:
`SLUICE_EXAMPLES=2000 pytest tests/property -k life`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sluice.consumer.upkeep.promote import Promote
from sluice.core.audience import Audiences, Signature
from sluice.core.lifecycle import TRANSITIONS
from sluice.core.task import DEFAULT_QUEUE, ConsumerId, TaskId
from sluice.db.keys import Keys
from tests.property.life_model import Key, Model
from tests.property.life_run import EXAMPLES, Machine
from tests.property.life_verbs import Verbs
from tests.simulation.redis import ready_lists
from tests.simulation.redis_server import SimRedis
from tests.support.pruning import prune
from tests.support.stores import DEFAULT_LIST, ECHO

LEASE = timedelta(seconds=4)
NOTHING = timedelta()

ids = st.integers(1, 3).map(lambda n: UUID(int=n))
batches = st.lists(ids, min_size=1, max_size=3, unique=True)
consumers = st.integers(101, 103).map(lambda n: UUID(int=n))
held = st.lists(st.sampled_from([0, 0, 0, 1, 1, 2, 3, 8]), min_size=1, max_size=3)
"""Claims, by how many were made after them: mostly the newest, which may still be in force."""
seconds = st.sampled_from([0, 1, 3]).map(lambda n: timedelta(seconds=n))


_EVENTS: list[str] = []
_ARGUMENTS: dict[str, dict[str, st.SearchStrategy[Any]]] = {}
F = TypeVar("F", bound=Callable[..., None])


def event(weight: int, **arguments: st.SearchStrategy[Any]) -> Callable[[F], F]:
    """What may happen, how often beside the others, and with what."""

    def note(function: F) -> F:
        _EVENTS.extend([function.__name__] * weight)
        _ARGUMENTS[function.__name__] = arguments
        return function

    return note


class Life(RuleBasedStateMachine):
    """Each rule is one event, in the database and in the model. Claims are kept after they ended, and used again."""

    reached: ClassVar[set[str]] = set()

    def __init__(self, runner: asyncio.Runner, real: Verbs) -> None:
        super().__init__()
        self.run, self.real, self.model = runner.run, real, Model(reached=self.reached)
        self.claims: list[Key] = []
        self.looks: list[list[Key]] = []
        self.redis, keys = SimRedis(), Keys("life")
        self.ready = ready_lists(self.redis, keys, lambda _: None)
        self.key = keys.ready(DEFAULT_LIST)
        self.audiences = Audiences([Signature.of([DEFAULT_QUEUE], [ECHO])])
        self.promote = Promote(store=real.upkeep, ready=self.ready, roster=self, report=lambda _: None)
        self.run(real.begin_again())
        self.run(real.upkeep.add_steps(["promote"]))
        self._submit([UUID(int=n) for n in (1, 2, 3)], NOTHING, pushed=True)

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        """One rule for all events: of many rules hypothesis leaves most out of each example, and lives end early."""
        name = data.draw(st.sampled_from(_EVENTS), label="event")
        arguments = {of: data.draw(found, label=of) for of, found in _ARGUMENTS[name].items()}
        getattr(self, name)(**arguments)

    @invariant()
    def every_row_is_as_the_model_says(self) -> None:
        self.run(self.real.agree(self.model))

    @event(
        3,
        verb=st.sampled_from(["submit", "cancel", "retry"]),
        task=ids,
        new=batches,
        delay=seconds,
        pushed=st.booleans(),
    )
    def a_client_asks(self, verb: str, task: UUID, new: list[UUID], delay: timedelta, pushed: bool) -> None:
        match verb:
            case "submit":
                self._submit(new, delay, pushed)
            case "cancel":
                assert self.run(self.real.cancel(task)) == self.model.cancel(task)
            case _:
                assert self.run(self.real.retry(task)) == self.model.retry(task)

    def _submit(self, new: list[UUID], delay: timedelta, pushed: bool) -> None:
        due = [self.model.submit(one, delay) for one in new]
        assert self.run(self.real.submit(new, delay)) == due
        if pushed:
            self.run(self.ready.push({DEFAULT_LIST: [TaskId(one) for one in new]}))

    @event(2, me=consumers, lease=st.sampled_from([LEASE / 4, LEASE]), first=st.booleans())
    def a_consumer_beats(self, me: UUID, lease: timedelta, first: bool) -> None:
        if first:
            self.model.register(me)
            self.run(self.real.register(me, lease))
        assert self.run(self.real.consumers.beat(ConsumerId(me), 0)) == self.model.beat(me)

    @event(1, me=consumers, early=st.booleans())
    def others_judge(self, me: UUID, early: bool) -> None:
        """By its last beat, or by one that they take for it."""
        beaten_at = self.model.consumers.get(me, self.model.now) - timedelta(hours=early)
        assert self.run(self.real.judge(me, early=early)) == self.model.judge(me, beaten_at)

    @event(
        3,
        how=st.sampled_from(["stray ids", "stray ids", "list", "without Redis"]),
        stray=batches,
        n=st.integers(1, 3),
        me=consumers,
        suspect=st.sampled_from([0, 1, 1, 1, 2]),
    )
    def tries_start(self, how: str, stray: list[UUID], n: int, me: UUID, suspect: int) -> None:
        """From ids that may be stale, doubled or never were; what is not claimed is dropped."""
        if how == "without Redis":
            self._claim_without_redis(n, me, suspect)
            return
        popped = self.run(self.ready.pop([DEFAULT_LIST], n)) if how == "list" else None
        wanted: Sequence[UUID] = stray if how != "list" else list(dict.fromkeys(popped[1] if popped else []))
        mine = self.model.claim_all(wanted, me, suspects=suspect > 0)
        assert self.run(self.real.claim(wanted, me, suspects=suspect > 0)) == mine
        self.claims += [(one, found[0]) for one, found in zip(wanted, mine, strict=True) if found]

    def _claim_without_redis(self, n: int, me: UUID, suspect: int) -> None:
        one = self.model.due(suspected=True)[suspect - 1 : suspect] if suspect else []
        due = [*one, *self.model.due(suspected=False)]
        mine = {task: claim[0] for task in due[:n] if (claim := self.model.claim(task, me))}
        assert self.run(self.real.claim_ready(n, me, suspect=suspect)) == mine
        self.claims += mine.items()

    @event(
        5,
        verb=st.sampled_from(["finish", "fail", "give_back", "reap", "reap"]),
        ago=held,
        delay=seconds,
        more=st.booleans(),
    )
    def tries_end(self, verb: str, ago: list[int], delay: timedelta, more: bool) -> None:
        """Under claims that may have ended long ago. A lease may end while its consumer goes on: reaped or not."""
        recent = [self.claims[-1 - n] for n in ago if n < len(self.claims)]
        keys = list({key[0]: key for key in recent}.values())
        how = {"finish": "[1]", "fail": delay if more else None}.get(verb, delay)
        expected = sum(getattr(self.model, verb)(key, how) for key in keys)
        assert self.run(getattr(self.real, verb)(keys, how)) == expected

    @event(1, task=ids, me=consumers)
    def a_task_kills_its_consumers(self, task: UUID, me: UUID) -> None:
        """One after the other, unless it is not to be had. Who is alive names it before."""
        for _ in range(3):
            self.tries_start("stray ids", [task], 1, me, suspect=1)
            run = (task, self.model.tasks.get(task, {}).get("fencing_token", 0))
            assert self.run(self.real.name_suspect(run, me)) == self.model.name_suspect(me, run)
            self.tries_end("reap", [0], NOTHING, more=False)

    @event(
        3, verb=st.sampled_from(["look", "reap", "reap", "prune", "turns"]), ago=st.integers(0, 3), by=seconds
    )
    def upkeep_goes_on(self, verb: str, ago: int, by: timedelta) -> None:
        match verb:
            case "look":
                self.looks.append(self.model.dead_attempts())
                assert sorted(self.run(self.real.upkeep.dead_attempts(100))) == self.looks[-1]
            case "reap":  # what was seen at some time, perhaps long ago (R3 no second look)
                dead = self.looks[-1 - ago] if ago < len(self.looks) else []
                expected = sum(self.model.reap(key, by) for key in dead)
                assert self.run(self.real.reap(dead, by)) == expected
            case "prune":
                assert self.run(prune(self.real.upkeep, by, 100)) == self.model.prune(by)
            case _:
                self.run(self.promote.step())  # it changes no task

    @event(1)
    def rows_are_looked_at(self) -> None:
        """Whatever became of the lists: a look finds what waits, and where it begins (U4 scan)."""
        waiting = [row["run_at"] for row in self.model.tasks.values() if row["status"] == "pending"]
        due = [run_at for run_at in waiting if run_at <= self.model.now]
        assert [first for _, first in self.run(self.real.lanes())] == ([min(due)] if due else [])

    @event(2, by=seconds)
    def move_the_clock(self, by: timedelta) -> None:
        self.model.now += by
        self.run(self.real.move_on(by))

    @event(1, what=st.sampled_from(["lost", "all lost", "doubled", "garbage"]), seed=st.integers(0, 9))
    def lists_suffer(self, what: str, seed: int) -> None:
        random = Random(seed)
        match what:
            case "lost":
                self.redis.lose(lambda _: random.random() < 0.3)
            case "all lost":
                self.redis.flush()
            case "doubled":
                self.redis.double(random)
            case _:
                self.redis.litter(self.key, b"nobody")


@pytest.mark.timeout(300 + 20 * EXAMPLES)
def test_any_order_of_events_leaves_what_the_model_says(machine: Machine) -> None:
    machine(Life, 40, 40)
    edges = {
        f"{source} -> {target}"
        for move in TRANSITIONS.values()
        for source in move.sources
        for target in move.targets
    }
    assert Life.reached >= edges | {
        "fenced",
        "poisoned",
        "pruned",
        "beat of the dead",
        "suspect left waiting",
    }, "the examples lead past something"
