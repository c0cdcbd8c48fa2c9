from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sluice.consumer.runs.running import Run, Stop
from sluice.consumer.runs.timeouts import Timeouts
from tests.unit.support import begun, claim, now, virtual


def began(timeouts: Timeouts, number: int, timeout: float) -> tuple[Run, list[Any]]:
    """A run whose time begins now, and when it was stopped."""
    run = begun(claim(number, timeout=timeout), now())
    stops: list[Any] = []
    begin = now()
    run.on_stop = lambda reason: stops.append((reason, now() - begin))
    timeouts.begin(run)
    return run, stops


def timers() -> list[Any]:
    """What the loop still has to wait for."""
    loop: Any = asyncio.get_running_loop()
    return [handle for handle in loop._scheduled if not handle.cancelled()]


@pytest.mark.parametrize("timeout", [0.001, 0.5, 1.999, 2.0, 2.001, 3.0, 3600.0, 604800.0])
def test_a_run_is_stopped_when_its_time_is_over_and_no_sooner(
    timeout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if timeout > 3600.0:  # a week of looks takes six seconds of a processor
        monkeypatch.setattr("sluice.consumer.runs.timeouts._LOOK_SECONDS", 60.0)
        monkeypatch.setattr("sluice.consumer.runs.timeouts._NEAR_SECONDS", 120.0)

    @virtual
    async def scene() -> None:
        timeouts = Timeouts()
        run, stops = began(timeouts, 1, timeout)
        await asyncio.sleep(timeout + 10)
        timeouts.end(run)
        assert stops == [(Stop.TIMED_OUT, pytest.approx(timeout, abs=0.002))]

    scene()


@virtual
async def test_a_run_that_has_ended_is_left_alone_and_leaves_no_timer() -> None:
    timeouts = Timeouts()
    runs = [began(timeouts, number, timeout) for number, timeout in enumerate((1.0, 3.5, 60.0))]
    before = len(timers())
    await asyncio.sleep(0.9)
    timeouts.end(runs[0][0])
    await asyncio.sleep(1.5)
    timeouts.end(runs[1][0])
    timeouts.end(runs[2][0])
    await asyncio.sleep(100)

    assert [stops for _, stops in runs] == [[], [], []]
    assert before == 2, "one for the near run, one look for the others"
    assert timers() == []


@virtual
async def test_many_far_runs_share_one_timer_and_each_ends_in_its_time() -> None:
    timeouts = Timeouts()
    runs = [began(timeouts, number, 5.0 + number / 10) for number in range(50)]
    assert len(timers()) == 1
    await asyncio.sleep(20)

    for number, (run, stops) in enumerate(runs):
        assert stops == [(Stop.TIMED_OUT, pytest.approx(5.0 + number / 10, abs=0.002))]
        timeouts.end(run)
    assert timers() == []
