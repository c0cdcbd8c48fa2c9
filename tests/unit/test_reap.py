from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from sluice.consumer.upkeep import reap as module
from sluice.core.errors import RowRefused
from sluice.core.events import StepFailed, UpkeepDone
from sluice.core.task import ConsumerId, RunKey
from sluice.db.upkeep import LastBeat, Reaped
from tests.unit.reaping import DEAD, Scene, reaped
from tests.unit.support import task_id, virtual


def beat(number: int, at: str = "then", lease: float = 30.0) -> LastBeat:
    return LastBeat(ConsumerId(UUID(int=number)), at, lease)


@virtual
async def test_who_has_not_beaten_for_a_whole_lease_that_was_seen_from_here_is_declared_dead() -> None:
    s = Scene()
    silent, beating = beat(1), beat(2)
    s.consumers = [silent]
    await s.pass_by(29.9, beating)
    assert s.declared == []
    await s.pass_by(3, beating)
    assert s.declared == [silent]
    assert s.ended == 1, "what it held is looked for at once"
    await s.pass_by(100, beating)
    assert s.declared == [silent]


@virtual
async def test_the_databases_clock_declares_nobody_dead_however_it_steps() -> None:
    """With stored instants a minute old everybody was charged with a crash, though nobody had died."""
    s = Scene()
    one, two = beat(1), beat(2, lease=1.0)
    s.consumers = [one, two]
    for at in ("a minute ago", "in a minute", "a minute ago"):
        await s.pass_by(0.9)
        s.consumers = [LastBeat(of.consumer, at, of.lease) for of in s.consumers]
        await s.pass_by(0.05, one, two)
    assert s.declared == []


@virtual
async def test_each_is_judged_by_its_own_lease() -> None:
    s = Scene(seconds=2)
    short, long = beat(1, lease=3.0), beat(2, lease=60.0)
    s.consumers = [short, long]
    await s.pass_by(5)
    assert s.declared == [short]
    await s.pass_by(54)
    assert s.declared == [short]
    await s.pass_by(3)
    assert s.declared == [short, long]


@virtual
async def test_a_silence_that_began_before_our_own_beats_came_through_counts_from_then() -> None:
    """After an outage of PostgreSQL everybody has been silent: whoever judged at once would poison the fleet."""
    s = Scene(seconds=2)
    other = beat(1, lease=20.0)
    s.consumers = [other]
    await s.pass_by(15)
    s.lease.missed()
    s.clock.move(100)
    await s.pass_by(19)
    assert s.declared == []
    await s.pass_by(3)
    assert s.declared == [other]


@virtual
async def test_a_look_whose_answer_came_late_is_as_old_as_its_question() -> None:
    """Frozen in between, this process would take what it saw then for what is now."""
    s = Scene()
    s.consumers = [beat(1)]
    await s.pass_by(20)
    answer = s.beats

    async def late() -> list[LastBeat]:
        found = await answer()
        s.clock.move(12)
        s.lease.renewed(s.clock())
        return found

    s.beats = late  # type: ignore[method-assign]
    await s.reap_step.step()
    assert s.declared == []


@pytest.mark.parametrize("lease", [float("nan"), float("inf"), -1.0, 0.0, 1e300])
@virtual
async def test_a_lease_that_no_consumer_can_have_counts_as_the_longest(lease: float) -> None:
    s = Scene()
    s.consumers = [beat(1, lease=lease)]
    for _ in range(10):
        s.consumers = [beat(1, lease=lease)] if not s.declared else []
        await s.pass_by(350)
    assert s.declared == []
    await s.pass_by(110)
    assert len(s.declared) == 1


@virtual
async def test_what_the_look_found_is_reaped_by_id_and_token_and_counted_as_it_was_changed() -> None:
    s = Scene(dead=3)
    assert await s.reap_step.step() == s.reap_step.attempts
    assert s.reaped == s.dead
    assert s.events.all == [
        UpkeepDone(
            2,
            step="reap",
            consumer=str(DEAD),
            why="host, process 7, has not beaten for 31 s",
            tasks=(str(task_id(1)), str(task_id(2))),
            failed=1,
        )
    ]


@virtual
async def test_nothing_dead_is_nothing_to_do() -> None:
    s = Scene()
    assert await s.reap_step.step() == s.reap_step.attempts
    assert s.reaped == []
    assert s.events.all == []


@virtual
async def test_a_process_whose_own_beats_had_a_gap_judges_nobody_and_leaves_the_turn_to_others() -> None:
    s = Scene(dead=3)
    s.lease.missed()
    assert await s.reap_step.step() < timedelta(seconds=5)
    assert s.turns == 0

    s.beat()
    await s.reap_step.step()
    assert s.turns == 0, "after an outage nobody may at once"
    for _ in range(4):
        s.beat()
    await s.reap_step.step()
    assert s.reaped == s.dead


@virtual
async def test_a_process_that_loses_its_footing_between_look_and_act_does_not_act() -> None:
    s = Scene(dead=3)
    s.during_the_scan = s.lease.missed
    await s.reap_step.step()
    assert s.reaped == []


@virtual
async def test_who_does_not_win_the_turn_does_nothing() -> None:
    s = Scene(dead=3)
    s.turn = False
    assert await s.reap_step.step() == s.reap_step.attempts
    assert s.reaped == []


@virtual
async def test_more_than_a_chunk_goes_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    s = Scene(dead=3)
    assert await s.reap_step.step() == timedelta()
    assert s.ended == 1
    s.dead = s.dead[:2]
    assert await s.reap_step.step() == s.reap_step.attempts
    assert s.ended == 1


@pytest.mark.parametrize(("lease", "period", "spread"), [(30, 5, 1), (6, 3, 1), (1, 0.5, 0.5)])
def test_a_short_lease_is_reaped_often_and_its_tasks_spread_over_less(
    lease: float, period: float, spread: float
) -> None:
    @virtual
    async def scene() -> None:
        s = Scene(dead=1, seconds=lease)
        assert await s.reap_step.step() == timedelta(seconds=period) / 2
        assert s.spread == timedelta(seconds=spread)

    scene()


@virtual
async def test_a_row_that_is_refused_stays_alone_and_its_neighbours_are_reaped() -> None:
    s = Scene(dead=5)
    bad = s.dead[3]

    async def reap(dead: Sequence[RunKey], spread: timedelta) -> list[Reaped]:
        if bad in dead:
            raise RowRefused("P0001", "not this one")
        s.reaped += dead
        return reaped(dead)

    s.reap = reap  # type: ignore[method-assign]
    await s.reap_step.step()
    assert s.reaped == [key for key in s.dead if key != bad]
    told, done = s.events.all
    assert isinstance(told, StepFailed)
    assert str(bad[0]) in told.reason
    assert isinstance(done, UpkeepDone)
    assert (done.n, done.step, done.consumer) == (4, "reap", str(DEAD))


@virtual
async def test_a_chunk_of_which_every_row_is_refused_is_not_looked_at_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    s = Scene(dead=3)

    async def reap(dead: Sequence[RunKey], spread: timedelta) -> list[Reaped]:
        raise RowRefused("P0001", "none of them")

    s.reap = reap  # type: ignore[method-assign]
    assert await s.reap_step.step() == s.reap_step.attempts
    assert s.ended == 0


@virtual
async def test_a_look_that_takes_long_is_followed_by_a_later_turn_of_which_others_blame_no_clock() -> None:
    """Beside an old snapshot it steps over what consumers that are gone have run."""
    s = Scene()
    for seconds, period in ((0.1, 5), (0.3, 5), (0.3, 5), (9.0, 6), (9.0, 6), (0.1, 10), (0.1, 5)):
        s.during_the_scan = lambda seconds=seconds: s.clock.move(seconds)  # type: ignore[misc]
        await s.pass_by(2.5)
        assert s.period == timedelta(seconds=period)
        s.during_the_scan = lambda: None
        s.beat()
