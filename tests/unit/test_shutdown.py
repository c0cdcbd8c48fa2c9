from __future__ import annotations

import pytest

from sluice.consumer.shutdown import Ending
from sluice.core.events import Drained, Draining
from tests.unit.shutting_down import FOREVER, Scene, after
from tests.unit.support import now, virtual


@virtual
async def test_an_idle_consumer_stops_at_once_senders_first_and_the_beat_last_but_for_its_row() -> None:
    s = Scene()
    assert await s.shut_down() == Ending(left=0, threads=0, clean=True)
    assert s.log == [
        "intake",
        "give back claims, draining",
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
    last = ["give back [1]", "held by me", "publish ['pending']", "stop the beat", "unregister me"]
    assert s.log[-5:] == last
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
    assert s.log[:4] == ["intake", "give back claims, draining", "wake", "cut"]
    assert "forget wake" not in s.log
    assert now() < 1


@virtual
async def test_a_redis_that_is_away_does_no_harm() -> None:
    s = Scene()
    s.fails = {"wake", "give back, draining"}
    assert (await s.shut_down()).clean


@pytest.mark.parametrize("wake", [0.0, FOREVER])
@pytest.mark.parametrize(("drain", "forced"), [(5.0, None), (0.0, None), (25.0, 0.0), (25.0, 3.0)])
def test_everything_that_can_hang_hangs_and_the_process_has_a_fifth_of_a_second_to_end_in(
    drain: float, forced: float | None, wake: float
) -> None:
    @virtual
    async def scene() -> None:
        s = Scene(drain=drain)
        for what in ("pull", "pull, when cut", "schedule", "complete", "publish"):
            s.takes[what] = FOREVER
        for what in ("give back, draining", "locked among [1]", "held by me", "stop the beat"):
            s.takes[what] = FOREVER
        s.takes["wake"] = wake
        s.run(1, on_stop=None)
        s.waiting = 3
        if forced is not None:
            after(forced, s.forced.set)

        assert await s.shut_down() == Ending(left=4, threads=2, clean=False)
        assert now() <= (drain if forced is None else forced) + 0.81
        assert s.events.of(Drained) == [Drained(left=4)]

    scene()


@pytest.mark.parametrize("drain", [0.0, 5.0])
def test_each_of_the_last_acts_has_a_fair_share_where_others_hang(drain: float) -> None:
    """Before it had one the last of them had what was left: nothing."""

    @virtual
    async def scene() -> None:
        s = Scene(drain=drain)
        for what in ("wake", "pull, when cut", "schedule", "complete", "give back, draining"):
            s.takes[what] = FOREVER
        s.takes |= {"give back [1]": 0.09, "stop the beat": 0.04}
        s.run(1, on_stop=None)
        ending = await s.shut_down()
        assert (ending.left, ending.threads) == (0, 1)
        assert "give back [1]" in s.log

    scene()
