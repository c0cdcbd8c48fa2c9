from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from consumer.parts import Parts
from consumer.running import Run, Running
from consumer.shutdown import Ending, Shutdown
from consumer.slots import Slots
from core.errors import StoreUnavailable
from core.events import Drained, Draining
from core.task import RunKey
from db.claims import Pending, Return, Written
from tests.unit.support import Events, claim, now, virtual

FOREVER = 10_000.0
Part = Any


class Scene:
    """A consumer whose parts only say what was asked of them, and take as long as the test says."""

    def __init__(self, *, drain: float = 25.0, redis: bool = True) -> None:
        self.log: list[str] = []
        self.takes: dict[str, float] = {}
        self.fails: set[str] = set()
        self.events, self.running = Events(), Running()
        self.slots = Slots(4, lambda: None)
        self.draining = False
        self.pulling, self.scheduling, self.writing = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.waiting = 0
        self.ready = self if redis else None
        self.forced = asyncio.Event()
        self.drain = drain
        self.lease = self.claims = self.consumers = self.publisher = self.beat = self
        self.schedule = self.work = self.intake = self.complete = self
        self.gate = self
        self.consumer, self.rows, self.asked = "me", set[RunKey](), 0
        self.former: str | None = None
        self.closed_at = 0.0

    def _say(self, what: str, *, seconds: float = 0.0) -> Coroutine[None, None, None]:
        async def act() -> None:
            self.log.append(what)
            await asyncio.sleep(self.takes.get(what, seconds))
            if what in self.fails:
                raise StoreUnavailable("a store", "gone")

        return act()

    def request(self) -> None:
        self.log.append("intake" if self.draining else "intake, while claims still start")
        if "schedule" not in self.takes:
            self.scheduling.set()

    async def wake(self) -> None:
        await self._say("wake")
        if "pull" not in self.takes:
            self.pulling.set()

    async def cut(self) -> None:
        await self._say("cut")
        if "pull, when cut" not in self.takes:
            self.pulling.set()

    async def forget_wake(self) -> None:
        await self._say("forget wake")

    def close(self) -> None:
        self.closed_at = now()
        self.log.append("close")
        after(self.takes.get("complete", 0), self._written)

    def _written(self) -> None:
        self.waiting = 0
        self.writing.set()

    async def give_back(self, what: str | Sequence[Return]) -> Written:
        if isinstance(what, str):
            await self._say(f"give back, {what}")
            return Written(0)
        await self._say(f"give back {[back.id.int for back in what]}")
        return Written(len(what), cast("tuple[Pending, ...]", ("pending",)))

    async def held(self, consumer: str) -> set[RunKey]:
        await self._say(f"held by {consumer}")
        return self.rows

    def keys(self) -> set[RunKey]:
        return set()

    async def written(self) -> None:
        await self.writing.wait()

    async def publish_again(self, pending: Sequence[object]) -> None:
        await self._say(f"publish {list(pending)}")

    async def stop(self) -> None:
        await self._say("stop the beat")

    async def unregister(self, consumer: str) -> None:
        await self._say(f"unregister {consumer}")

    def run(self, number: int, *, ends_after: float | None = None, on_stop: float | None = 0.0) -> Run:
        """A handler that ends by itself, or so long after it was stopped (None: never)."""
        run = Run(claim(number), 0.0)
        self.slots.take(1)
        stopped = asyncio.Event()

        async def life() -> None:
            try:
                async with asyncio.timeout(ends_after):
                    await stopped.wait()
                await asyncio.sleep(FOREVER if on_stop is None else on_stop)
            except TimeoutError:
                pass
            self.log.append(f"{number} {run.stop_reason.name if run.stop_reason else 'finished'}")
            self.slots.release()
            self.running.remove(run)

        self.running.start(run, life())
        run.on_stop = lambda _: stopped.set()
        return run

    async def shut_down(self) -> Ending:
        async with asyncio.TaskGroup() as group:
            tasks = {
                name: group.create_task(self._until(event))
                for name, event in (
                    ("pull", self.pulling),
                    ("schedule", self.scheduling),
                    ("complete", self.writing),
                )
            }
            ending = await Shutdown(
                cast("Parts", self),
                drain=timedelta(seconds=self.drain),
                forced=self.forced,
                report=self.events,
                **tasks,
            ).run()
            for task in tasks.values():
                task.cancel()
        return ending

    async def _until(self, event: asyncio.Event) -> None:
        await event.wait()


def after(seconds: float, act: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, act)


@virtual
async def test_an_idle_consumer_stops_at_once_senders_first_and_the_beat_last_but_for_its_row() -> None:
    s = Scene()
    assert await s.shut_down() == Ending(left=0, threads=0, clean=True)
    assert s.log == [
        "intake",
        "wake",
        "cut",
        "forget wake",
        "give back, draining",
        "close",
        "held by me",
        "stop the beat",
        "unregister me",
    ]
    assert s.events.all == [Draining(running=0, deadline_seconds=25), Drained(left=0)]
    assert now() < 0.1


@virtual
async def test_handlers_that_end_in_time_are_let_be() -> None:
    s = Scene()
    s.run(1, ends_after=5)
    s.run(2, ends_after=20)
    assert await s.shut_down() == Ending(left=0, threads=0, clean=True)
    assert [line for line in s.log if line[0].isdigit()] == ["1 finished", "2 finished"]
    assert s.log.index("2 finished") < s.log.index("close")
    assert 20 <= now() < 20.1


@virtual
async def test_handlers_that_do_not_are_stopped_at_the_deadline() -> None:
    s = Scene()
    s.run(1, ends_after=FOREVER, on_stop=0.2)
    assert (await s.shut_down()).clean
    assert "1 DRAIN" in s.log
    assert 25.2 <= now() < 25.8


@virtual
async def test_a_second_signal_skips_the_waiting_for_handlers() -> None:
    s = Scene()
    s.run(1, ends_after=FOREVER)
    after(3, s.forced.set)
    assert (await s.shut_down()).clean
    assert "1 DRAIN" in s.log
    assert now() < 3.5


@virtual
async def test_a_drain_of_no_time_stops_handlers_at_once() -> None:
    s = Scene(drain=0)
    s.run(1, ends_after=FOREVER)
    assert (await s.shut_down()).clean
    assert now() < 1


@virtual
async def test_a_handler_that_does_not_end_is_given_back_by_the_last_statement_and_counted_as_a_thread() -> (
    None
):
    s = Scene(drain=1)
    s.run(1, on_stop=None)
    s.run(2, ends_after=0.1)
    assert await s.shut_down() == Ending(left=0, threads=1, clean=True)
    assert s.log[-4:] == ["give back [1]", "publish ['pending']", "stop the beat", "unregister me"]
    assert now() < 2


@virtual
async def test_a_claim_in_flight_is_awaited_as_long_as_the_drain_lasts_and_what_waits_goes_back_after_it() -> (
    None
):
    s = Scene()
    s.takes["schedule"] = 1
    after(7, s.scheduling.set)
    await s.shut_down()
    assert 7 <= now() < 7.1
    assert s.draining, "what it brings must not start"


@virtual
async def test_a_claim_that_hangs_does_not_hold_up_the_end() -> None:
    s = Scene(drain=5)
    s.takes["schedule"] = 1
    await s.shut_down()
    assert now() < 6


@pytest.mark.parametrize("hangs", ["schedule", "pull"])
@virtual
async def test_a_second_signal_skips_the_waiting_for_a_claim_that_hangs(hangs: str) -> None:
    s = Scene(redis=hangs == "schedule")
    s.takes[hangs] = 1
    after(3, s.forced.set)
    await s.shut_down()
    assert 3 <= now() < 4


@virtual
async def test_a_claim_that_pull_made_without_redis_is_awaited_too() -> None:
    s = Scene(redis=False)
    after(7, s.pulling.set)
    await s.shut_down()
    assert 7 <= now() < 7.1
    assert "wake" not in s.log


@virtual
async def test_a_redis_that_hangs_is_cut_off_and_does_not_hold_up_the_end() -> None:
    s = Scene()
    s.takes = {"wake": FOREVER, "give back, draining": FOREVER}
    assert (await s.shut_down()).clean
    assert s.log[:3] == ["intake", "wake", "cut"]
    assert "forget wake" not in s.log
    assert now() < 1


@virtual
async def test_a_redis_that_is_away_does_no_harm() -> None:
    s = Scene()
    s.fails = {"wake", "give back, draining"}
    assert (await s.shut_down()).clean


@virtual
async def test_everything_that_can_hang_hangs_and_the_end_still_comes_within_a_second_of_the_drain() -> None:
    s = Scene(drain=5)
    for what in ("pull", "pull, when cut", "schedule", "complete"):
        s.takes[what] = FOREVER
    for what in ("wake", "give back, draining", "give back [1]", "stop the beat", "unregister me"):
        s.takes[what] = FOREVER
    s.run(1, on_stop=None)
    s.waiting = 3

    assert await s.shut_down() == Ending(left=4, threads=2, clean=False)
    assert now() < 6
    assert s.events.of(Drained) == [Drained(left=4)]


@virtual
async def test_outcomes_that_are_not_written_in_time_are_left_to_others_and_the_end_is_not_clean() -> None:
    s = Scene(drain=0)
    s.takes["complete"] = FOREVER
    s.waiting = 3
    assert await s.shut_down() == Ending(left=3, threads=0, clean=False)
    assert "unregister me" not in s.log
    assert now() < 1


@virtual
async def test_outcomes_that_are_written_in_time_are_waited_for() -> None:
    s = Scene(drain=0)
    s.takes["complete"] = 0.3
    s.waiting = 3
    assert await s.shut_down() == Ending(left=0, threads=0, clean=True)


@virtual
async def test_outcomes_that_a_store_does_not_take_are_kept_as_long_as_the_drain_lasts() -> None:
    """It may come back: what handlers returned is worth the wait, and a second signal ends it."""
    for seconds, forced, over, left in ((20, None, 20, 0), (FOREVER, None, 25, 3), (FOREVER, 3.0, 3, 3)):
        began = now()
        s = Scene()
        s.takes["complete"] = seconds
        s.waiting = 3
        if forced is not None:
            after(forced, s.forced.set)
        ending = await s.shut_down()
        assert (ending.left, ending.clean) == (left, not left)
        assert over <= now() - began < over + 1


@virtual
async def test_what_the_id_before_this_one_held_goes_back_too() -> None:
    """It may have been declared dead a moment ago, with nobody having looked since (L5)."""
    s = Scene()
    s.former, s.rows = "my former self", {claim(7).key}
    assert (await s.shut_down()).clean
    assert {"held by me", "held by my former self", "give back [7]"} <= set(s.log)


@virtual
async def test_after_a_second_signal_the_last_acts_have_no_more_time_than_otherwise() -> None:
    s = Scene()
    s.run(1, ends_after=FOREVER)
    s.takes["complete"] = FOREVER
    after(3, s.forced.set)
    await s.shut_down()
    assert now() < 4


@virtual
async def test_handlers_may_take_half_of_what_is_left_and_outcomes_the_rest() -> None:
    s = Scene(drain=0)
    s.run(1, on_stop=None)
    s.takes["complete"] = FOREVER
    await s.shut_down()
    assert 0.25 <= s.closed_at <= 0.35


@virtual
async def test_a_database_that_does_not_answer_the_last_word_makes_the_end_unclean() -> None:
    for failing in ("unregister me", "give back [1]"):
        s = Scene(drain=0)
        s.run(1, on_stop=None)
        s.fails = {failing}
        assert not (await s.shut_down()).clean


@virtual
async def test_a_claim_without_an_answer_is_broken_off_and_what_it_took_given_back() -> None:
    s = Scene(drain=1)
    s.takes["schedule"] = FOREVER
    s.asked, s.rows = 5, {claim(7).key}
    assert await s.shut_down() == Ending(left=0, threads=0, clean=True)
    assert s.log[-4:] == ["give back [7]", "publish ['pending']", "stop the beat", "unregister me"]
    assert now() < 2


@virtual
async def test_what_it_asked_for_counts_as_left_when_the_database_does_not_say_what_it_took() -> None:
    s = Scene(drain=1)
    s.takes["schedule"] = FOREVER
    s.asked, s.fails = 5, {"held by me"}
    ending = await s.shut_down()
    assert (ending.left, ending.unsure, ending.clean) == (5, 5, False)
