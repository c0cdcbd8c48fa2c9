"""The life of tasks on real PostgreSQL against a model of dicts: any order of events, stale claims and lost ids too.

A longer run than the suite's, with new examples each time and failures made small:
`SLUICE_EXAMPLES=2000 pytest tests/property -k life`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)

from consumer.upkeep.promote import Promote
from consumer.upkeep.republish import Republish
from core.task import ConsumerId, TaskId
from db.keys import Keys
from db.ready import decode
from tests.property.life_model import Key, Model
from tests.property.life_run import EXAMPLES, Machine
from tests.property.life_verbs import Verbs
from tests.simulation.redis import ready_lists
from tests.simulation.redis_server import SimRedis
from tests.support.stores import DEFAULT_LIST

LEASE = timedelta(seconds=4)
NOTHING = timedelta()
KEEPER = UUID(int=999)
"""A consumer that is there when lists are mended: ids of kinds that nobody serves are not pushed."""

ids = st.integers(1, 6).map(lambda n: UUID(int=n))
batches = st.lists(ids, min_size=1, max_size=4, unique=True)
consumers = st.integers(101, 103).map(lambda n: UUID(int=n))
seconds = st.sampled_from([0, 1, 3]).map(lambda n: timedelta(seconds=n))


class Life(RuleBasedStateMachine):
    """Each rule is one event, in the database and in the model. Claims are kept after they ended, and used again."""

    claims: Bundle[Key] = Bundle("claims")
    looks: Bundle[list[Key]] = Bundle("looks")

    def __init__(self, runner: asyncio.Runner, real: Verbs) -> None:
        super().__init__()
        self.run, self.real, self.model = runner.run, real, Model()
        self.redis, keys = SimRedis(), Keys("life")
        self.ready = ready_lists(self.redis, keys, lambda _: None)
        self.key = keys.ready(DEFAULT_LIST)
        self.promote = Promote(store=real.upkeep, ready=self.ready, wake=lambda: None, report=lambda _: None)
        self.republish = Republish(store=real.upkeep, ready=self.ready, lease=LEASE, report=lambda _: None)
        self.run(real.begin_again())
        self.run(real.upkeep.add_steps(["promote", "republish"]))

    @invariant()
    def every_row_is_as_the_model_says(self) -> None:
        self.run(self.real.agree(self.model))

    # Clients.

    @rule(new=batches, delay=seconds, pushed=st.booleans())
    def submit(self, new: list[UUID], delay: timedelta, pushed: bool) -> None:
        due = [self.model.submit(one, delay) for one in new]
        assert self.run(self.real.submit(new, delay)) == due
        if pushed:
            self.run(self.ready.push({DEFAULT_LIST: [TaskId(one) for one in new]}))

    @rule(task=ids)
    def cancel(self, task: UUID) -> None:
        assert self.run(self.real.cancel(task)) == self.model.cancel(task)

    @rule(task=ids)
    def retry(self, task: UUID) -> None:
        assert self.run(self.real.retry(task)) == self.model.retry(task)

    # Consumers.

    @rule(me=consumers, lease=st.sampled_from([LEASE, 3 * LEASE]))
    def register(self, me: UUID, lease: timedelta) -> None:
        self.model.register(me, lease)
        self.run(self.real.register(me, lease))

    @rule(me=consumers)
    def beat(self, me: UUID) -> None:
        assert self.run(self.real.consumers.beat(ConsumerId(me), 0)) == self.model.beat(me)

    @rule(target=claims, wanted=batches, me=consumers)
    def claim(self, wanted: list[UUID], me: UUID) -> MultipleResults[Key]:
        """Of any ids: lists may hold what is stale, doubled or never was."""
        return self._claim(wanted, me)

    def _claim(self, wanted: Sequence[UUID], me: UUID) -> MultipleResults[Key]:
        mine = [self.model.claim(one, me) for one in wanted]
        assert self.run(self.real.claim(wanted, me)) == mine
        return multiple(*((one, found[0]) for one, found in zip(wanted, mine, strict=True) if found))

    @rule(target=claims, n=st.integers(1, 4), me=consumers)
    def pull(self, n: int, me: UUID) -> MultipleResults[Key]:
        """What the list gives. What is claimed is no longer there; what is not is dropped."""
        popped = self.run(self.ready.pop([DEFAULT_LIST], n))
        return self._claim(list(dict.fromkeys(popped[1])), me) if popped else multiple()

    @rule(target=claims, n=st.integers(1, 4), me=consumers)
    def claim_without_redis(self, n: int, me: UUID) -> MultipleResults[Key]:
        due = sorted(
            (row["run_at"], task)
            for task, row in self.model.tasks.items()
            if row["status"] == "pending" and row["run_at"] <= self.model.now
        )
        mine = {task: claim[0] for _, task in due[:n] if (claim := self.model.claim(task, me))}
        assert self.run(self.real.claim_ready(n, me)) == mine
        return multiple(*mine.items())

    @rule(
        done=st.lists(claims, min_size=1, max_size=3, unique_by=lambda key: key[0]), result=st.integers(0, 9)
    )
    def finish(self, done: list[Key], result: int) -> None:
        expected = sum(self.model.finish(key, str(result)) for key in done)
        assert self.run(self.real.finish(done, str(result))) == expected

    @rule(
        lost=st.lists(claims, min_size=1, max_size=3, unique_by=lambda key: key[0]), delay=st.none() | seconds
    )
    def fail(self, lost: list[Key], delay: timedelta | None) -> None:
        expected = sum(self.model.fail(key, delay) for key in lost)
        assert self.run(self.real.fail(lost, delay)) == expected

    @rule(back=st.lists(claims, min_size=1, max_size=3, unique_by=lambda key: key[0]), delay=seconds)
    def give_back(self, back: list[Key], delay: timedelta) -> None:
        expected = sum(self.model.give_back(key, delay) for key in back)
        assert self.run(self.real.give_back(back, delay)) == expected

    # Upkeep.

    @rule(target=looks)
    def look_for_the_dead(self) -> list[Key]:
        found = self.model.dead_tries()
        assert sorted(self.run(self.real.upkeep.dead_tries(100))) == found
        return found

    @rule(dead=looks, spread=seconds)
    def reap(self, dead: list[Key], spread: timedelta) -> None:
        """What was seen at some time, perhaps long ago (R3)."""
        expected = sum(self.model.reap(key, spread) for key in dead)
        assert self.run(self.real.reap(dead, spread)) == expected

    @rule(dead=st.lists(claims, max_size=3, unique_by=lambda key: key[0]), spread=seconds)
    def declare_dead(self, dead: list[Key], spread: timedelta) -> None:
        """Alive or not: a lease may end while its consumer goes on."""
        self.reap(dead, spread)

    @rule(age=seconds)
    def prune(self, age: timedelta) -> None:
        assert self.run(self.real.upkeep.prune(age, 100)) == self.model.prune(age)

    @rule()
    def take_turns(self) -> None:
        """They change no task."""
        self.run(self.promote.step())
        self.run(self.republish.step())

    @rule()
    def lists_mend(self) -> None:
        """Whatever became of the lists: after a while every id is on its way that can run (U3, U4)."""
        self.run(self.real.register(KEEPER, timedelta(hours=1)))
        self.model.register(KEEPER, timedelta(hours=1))
        self.run(self.real.consumers.beat(ConsumerId(KEEPER), 0))
        self.model.beat(KEEPER)
        waiting = {task for task, row in self.model.tasks.items() if row["status"] == "pending"}
        for _ in range(6):
            self.move_the_clock(timedelta(seconds=2))
            self.take_turns()
        listed = {decode(entry) for entry in self.run(self.ready.oldest(DEFAULT_LIST, 1000))}
        assert waiting <= listed

    # What goes wrong.

    @rule(by=seconds)
    def move_the_clock(self, by: timedelta) -> None:
        self.model.now += by
        self.run(self.real.move_on(by))

    @rule(seed=st.integers(0, 9), share=st.sampled_from([0.3, 1.0]))
    def lose_ids(self, seed: int, share: float) -> None:
        random = Random(seed)
        self.redis.lose(lambda _: random.random() < share)

    @rule(seed=st.integers(0, 9))
    def double_ids(self, seed: int) -> None:
        self.redis.double(Random(seed))

    @rule(entry=st.sampled_from([b"", b"\xff", b"nobody"]))
    def garbage(self, entry: bytes) -> None:
        self.redis.litter(self.key, entry)


@pytest.mark.timeout(300 + 20 * EXAMPLES)
def test_any_order_of_events_leaves_what_the_model_says(machine: Machine) -> None:
    machine(Life, 40, 40)
