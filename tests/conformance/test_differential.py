"""Any sequence of operations, on PostgreSQL and on SimStore: the same answers and the same rows after each of them.

Few ids, consumers and lists, so that operations meet. A longer run than the suite's, with new examples each time
and failures made small: `SLUICE_EXAMPLES=2000 pytest tests/conformance/test_differential.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from sluice.core.outcome import Completion, Failing, Failure, Return
from sluice.core.task import ConsumerId, FencingToken, JsonText, Kind, NewTask, QueueName, TaskId
from sluice.db.claims import Hints, Lane
from sluice.db.consumers import Registration, ServedKind
from sluice.db.rows import Place
from tests.conformance.comparing import answer, in_order, members, reaped
from tests.conformance.strategies import (
    consumers,
    durations,
    each,
    ids,
    json,
    kinds,
    lanes,
    limits,
    places,
    queues,
    results,
    seconds,
    some_kinds,
    steps,
    tasks,
    timeouts,
    when,
)
from tests.conformance.world import KEYS, Real, Simulated, World, real
from tests.support.pruning import prune

EXAMPLES = int(os.environ.get("SLUICE_EXAMPLES", "0"))
STEPS = 40


class Twins(RuleBasedStateMachine):
    """Each rule does the same to both."""

    def __init__(self, runner: asyncio.Runner, postgresql: Real) -> None:
        super().__init__()
        self._runner = runner
        self._worlds: Sequence[World] = (postgresql, Simulated())
        runner.run(postgresql.begin_again())

    def both(self, act: Callable[[World], Awaitable[object]], *changed: str) -> None:
        """Do it to both, and compare what came of it; `changed`: the tables that it may have touched."""

        async def compare() -> None:
            answers = [await answer(act(world)) for world in self._worlds]
            assert answers[0] == answers[1]
            await self._compare(changed)

        self._runner.run(compare())

    def teardown(self) -> None:
        self._runner.run(self._compare(KEYS))

    async def _compare(self, tables: Iterable[str]) -> None:
        for table in tables:
            rows = [await world.rows(table) for world in self._worlds]
            assert rows[0] == rows[1], table

    def token(self, task_id: TaskId, older: int) -> FencingToken:
        """The token of the row as it is, or one that is `older` steps behind."""
        row = self._worlds[1].store.tables.tasks.get(task_id)  # type: ignore[attr-defined]
        return FencingToken((row.fencing_token if row else 1) - older)

    @rule(by=seconds | st.just(3600.0))
    def advance(self, by: float) -> None:
        self.both(lambda world: world.advance(by))

    @rule(new=st.lists(tasks, min_size=1, max_size=4), due=when, bad=st.sampled_from([False] * 7 + [True]))
    def submit(self, new: list[NewTask], due: tuple[Any, Any], bad: bool) -> None:
        first = NewTask(
            id=new[0].id,
            kind=new[0].kind,
            payload=JsonText("[") if bad else JsonText("[1]"),
            run_at=due[0],
            delay=due[1],
        )
        self.both(lambda world: world.tasks.submit([first, *new[1:]]), "tasks")

    @rule(task_id=ids)
    def look(self, task_id: TaskId) -> None:
        self.both(lambda world: world.tasks.get(task_id))
        self.both(lambda world: world.browse.depths([QueueName("p"), QueueName("q")]))
        self.both(lambda world: world.browse.queues("", 5))
        self.both(lambda world: world.browse.waiting_kinds([QueueName("p"), QueueName("q")], ["", "a"], 3))
        self.both(lambda world: world.browse.consumers())
        self.both(lambda world: world.browse.kinds())

    @rule(task_id=ids)
    def cancel(self, task_id: TaskId) -> None:
        self.both(lambda world: world.tasks.cancel(task_id), "tasks")

    @rule(task_id=ids)
    def retry(self, task_id: TaskId) -> None:
        self.both(lambda world: world.tasks.retry(task_id), "tasks")

    @rule(found=st.lists(ids, max_size=8), me=consumers, served=some_kinds, suspects=st.booleans())
    def claim(self, found: list[TaskId], me: ConsumerId, served: list[Kind], suspects: bool) -> None:
        self.both(
            lambda world: world.claims.claim(found, consumer=me, kinds=served, suspects=suspects), "tasks"
        )

    @rule(
        found=st.dictionaries(lanes, places, max_size=3),
        n=limits,
        me=consumers,
        known=st.tuples(st.lists(ids, max_size=2), st.sets(lanes, max_size=2)),
        one=st.integers(0, 2),
    )
    def claim_ready(
        self,
        found: dict[Lane, Place],
        n: int,
        me: ConsumerId,
        known: tuple[list[TaskId], set[Lane]],
        one: int,
    ) -> None:
        listed = Hints(*known)
        self.both(
            lambda world: world.claims.claim_ready(found, n, consumer=me, listed=listed, suspect=one), "tasks"
        )

    @rule(of=st.lists(queues, unique=True), served=some_kinds)
    def look_for_lanes(self, of: list[QueueName], served: list[Kind]) -> None:
        self.both(lambda world: in_order(world.claims.lanes(of, served, 100)))

    @rule(task_id=ids, me=consumers)
    def name_suspect(self, task_id: TaskId, me: ConsumerId) -> None:
        run = (task_id, self.token(task_id, older=0))
        self.both(lambda world: world.consumers.name_suspect(me, run), "consumers")

    @rule(found=each(results))
    def finish(self, found: list[Any]) -> None:
        done = [Completion(one, self.token(one, older), result) for one, older, result in found]
        self.both(lambda world: world.claims.finish(done), "tasks")

    @rule(found=each(st.none() | durations))
    def fail(self, found: list[Any]) -> None:
        why = Failure("E", 'said "no"\n\x7f')
        lost = [Failing(one, self.token(one, older), why, delay) for one, older, delay in found]
        self.both(lambda world: world.claims.fail(lost), "tasks")

    @rule(found=each(durations))
    def give_back(self, found: list[Any]) -> None:
        back = [Return(one, self.token(one, older), delay) for one, older, delay in found]
        self.both(lambda world: world.claims.give_back(back), "tasks")

    @rule(me=consumers, found=each(st.none()))
    def who_holds_what(self, me: ConsumerId, found: list[Any]) -> None:
        runs = [(one, self.token(one, older)) for one, older, _ in found]
        self.both(lambda world: world.claims.held(me))
        self.both(lambda world: world.claims.held_among(runs))
        self.both(lambda world: in_order(world.upkeep.dead_attempts(100)))

    @rule(me=consumers, late=st.booleans())
    def declare_dead(self, me: ConsumerId, late: bool) -> None:
        async def judge(world: World) -> int:
            seen = [beat for beat in await world.upkeep.beats() if beat.consumer == me]
            return await world.upkeep.declare_dead(
                [replace(beat, at="long ago") if late else beat for beat in seen]
            )

        self.both(judge, "consumers")

    @rule(found=each(st.none()), spread=durations)
    def reap(self, found: list[Any], spread: timedelta) -> None:
        dead = [(one, self.token(one, older)) for one, older, _ in found]
        self.both(lambda world: reaped(world, dead, spread), "tasks")

    @rule(me=consumers, lease=durations, served=some_kinds, also=st.lists(queues, max_size=2))
    def register(self, me: ConsumerId, lease: timedelta, served: list[Kind], also: list[QueueName]) -> None:
        self.both(
            lambda world: world.consumers.register(me, Registration("h", 1, also, served, 3, lease)),
            "consumers",
        )

    @rule(me=consumers, running=st.integers(0, 3))
    def beat(self, me: ConsumerId, running: int) -> None:
        self.both(lambda world: world.consumers.beat(me, running), "consumers")
        self.both(lambda world: world.consumers.signatures())
        self.both(members)

    @rule(me=consumers)
    def unregister(self, me: ConsumerId) -> None:
        self.both(lambda world: world.consumers.unregister(me), "consumers")

    @rule(kind=kinds, schema=results, budget=st.none() | st.integers(1, 3), timeout=st.none() | timeouts)
    def serve(self, kind: Kind, schema: JsonText | None, budget: int | None, timeout: float | None) -> None:
        self.both(
            lambda world: world.consumers.register_kinds([ServedKind(kind, schema, budget, timeout)]), "kinds"
        )

    @rule(step=steps, period=durations, cursor=json, again=st.none() | durations)
    def turn(self, step: str, period: timedelta, cursor: str, again: timedelta | None) -> None:
        self.both(lambda world: world.upkeep.add_steps(["s"]))
        self.both(lambda world: world.upkeep.take_turn(step, period), "upkeep")
        self.both(lambda world: world.upkeep.end_turn(step, {"at": cursor}, again), "upkeep")

    @rule(after=places, n=limits)
    def what_is_due(self, after: Place, n: int) -> None:
        self.both(lambda world: world.upkeep.due(after, n))
        self.both(lambda world: world.upkeep.next_due_in())

    @rule(age=durations)
    def prune(self, age: timedelta) -> None:
        self.both(lambda world: prune(world.upkeep, age, 100), "tasks")
        self.both(lambda world: world.upkeep.prune_consumers(), "consumers")


@pytest.mark.timeout(300 + 20 * EXAMPLES)
def test_both_do_the_same(clocked_url: str) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        postgresql = runner.run(stack.enter_async_context(real(clocked_url)))
        try:
            run_state_machine_as_test(
                lambda: Twins(runner, postgresql),  # type: ignore[arg-type] # any maker will do
                settings=settings(
                    max_examples=EXAMPLES or 20,
                    stateful_step_count=STEPS,
                    deadline=None,
                    derandomize=not EXAMPLES or settings().derandomize,  # as hypothesis decides in a CI
                    phases=[*Phase] if EXAMPLES else [Phase.generate],
                ),
            )
        finally:
            runner.run(stack.aclose())
