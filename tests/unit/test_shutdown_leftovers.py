from __future__ import annotations

import pytest

from sluice.consumer.shutdown import Ending
from sluice.core.events import StepFailed
from tests.unit.shutting_down import FOREVER, Scene, after
from tests.unit.support import claim, now, task_id, virtual


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
    """It may have been declared dead a moment ago, with nobody having looked since (L5 new id)."""
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
    s.asked, s.rows = 1, {claim(7).key}
    assert await s.shut_down() == Ending(left=0, threads=0, clean=True)
    assert s.log[-4:] == ["give back [7]", "publish ['pending']", "stop the beat", "unregister me"]
    assert now() < 2


@pytest.mark.parametrize("frees", [True, False])
def test_a_row_that_somebody_holds_locked_keeps_no_neighbour_here(frees: bool) -> None:
    """It may be a COMMIT of ours that is about to end: it is waited for, and left to others when it does not."""

    @virtual
    async def scene() -> None:
        s = Scene(drain=0)
        for number in (1, 2, 3):
            s.run(number, on_stop=None)
        s.rows = {claim(number).key for number in (1, 2, 3)}
        s.locks = {2}
        if not frees:
            s.takes["give back [2]"] = FOREVER
        ending = await s.shut_down()
        assert "publish ['pending', 'pending']" in s.log if frees else "publish ['pending']" in s.log
        assert s.rows == (set() if frees else {claim(2).key})
        assert (ending.left, ending.clean) == ((0, True) if frees else (1, False))
        assert frees or "holds the rows of 1 tasks locked" in ending.complaint

    scene()


@virtual
async def test_what_runs_here_goes_back_even_if_postgresql_does_not_say_in_time_what_else_there_is() -> None:
    """Beside an old snapshot that look steps over all that this consumer has ever run."""
    for seconds in (0.1, FOREVER):
        s = Scene(drain=0)
        s.run(1, on_stop=None)
        s.rows = {claim(1).key, claim(7).key}
        s.takes["held by me"] = seconds
        ending = await s.shut_down()
        assert s.rows == (set() if seconds < 1 else {claim(7).key})
        assert (ending.left, ending.clean) == (0, seconds < 1)
        assert "publish ['pending', 'pending']" in s.log if seconds < 1 else "publish ['pending']" in s.log


@virtual
async def test_a_row_that_postgresql_refuses_to_take_back_stays_alone() -> None:
    s = Scene(drain=0)
    for number in (1, 2, 3, 4):
        s.run(number, on_stop=None)
    s.rows = {claim(number).key for number in (1, 2, 3, 4, 7)}
    s.refuses = {3, 7}
    ending = await s.shut_down()
    assert s.rows == {claim(3).key, claim(7).key}
    assert (ending.left, ending.refused, ending.threads, ending.clean) == (2, 2, 4, False)
    assert "does not take the rows of 2 tasks back" in ending.complaint
    told = sorted(event.reason for event in s.events.of(StepFailed))
    assert told == [f"task {task_id(number)} is refused: never again" for number in (3, 7)]


@virtual
async def test_what_a_claim_that_was_broken_off_may_still_take_makes_the_end_unclean() -> None:
    s = Scene(drain=1)
    s.takes["schedule"] = FOREVER
    s.asked, s.rows = 5, {claim(7).key}
    assert await s.shut_down() == Ending(left=4, threads=0, clean=False, unsure=4)
    assert s.log[-3:] == ["give back [7]", "publish ['pending']", "stop the beat"]


@virtual
async def test_what_it_asked_for_counts_as_left_when_the_database_does_not_say_what_it_took() -> None:
    s = Scene(drain=1)
    s.takes["schedule"] = FOREVER
    s.asked, s.fails = 5, {"held by me"}
    ending = await s.shut_down()
    assert (ending.left, ending.unsure, ending.clean) == (5, 5, False)


@virtual
async def test_an_outcome_that_comes_after_the_writer_has_ended_goes_back_with_the_rest() -> None:
    s = Scene()
    s.run(1, ends_after=FOREVER, on_stop=0.26)
    s.rows = {claim(1).key}
    s.takes["locked among [1]"] = 0.05
    after(25.26, lambda: s.hand_in(1))

    assert await s.shut_down() == Ending(left=0, threads=0, clean=True)
    assert s.log.index("close") < s.log.index("1 DRAIN") < s.log.index("give back [1]")


@virtual
async def test_an_outcome_that_is_still_being_written_is_left_to_the_writer_and_counted() -> None:
    s = Scene()
    s.takes["complete"] = FOREVER
    s.rows = {claim(1).key}
    s.hand_in(1)

    assert await s.shut_down() == Ending(left=1, threads=0, clean=False)
    assert "give back [1]" not in s.log


@pytest.mark.parametrize("slow", ["held by me", "stop the beat", "unregister me"])
def test_a_slow_answer_is_no_outage_while_the_drain_has_time(slow: str) -> None:
    async def run() -> None:
        for drain, seconds, clean in ((25.0, 0.9, True), (25.0, FOREVER, False), (0.0, 0.9, False)):
            began, s = now(), Scene(drain=drain)
            s.takes[slow] = seconds
            ending = await s.shut_down()
            assert (ending.clean and not ending.threads) is clean
            assert now() - began < 2, "nor is a silent one waited for as long as the drain"

    virtual(run)()
