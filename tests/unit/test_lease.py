# mypy: disable-error-code=unreachable
# It takes a property for a constant.
from __future__ import annotations

from datetime import timedelta

import pytest

from sluice.consumer.lease import Lease
from tests.unit.support import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> Lease:
    return Lease(timedelta(seconds=30), clock)


def test_before_the_first_beat_nothing_is_trusted(lease: Lease) -> None:
    assert not lease.trusted
    assert not lease.unbroken
    assert lease.remaining < 0


def test_trust_lasts_for_the_lease_less_a_sixth_from_the_moment_the_beat_was_sent(
    lease: Lease, clock: Clock
) -> None:
    sent_at = clock()
    clock.move(4)  # the answer took this long
    lease.renewed(sent_at)

    assert lease.remaining == pytest.approx(30 - 5 - 4)
    clock.at = sent_at + 24.999
    assert lease.trusted
    clock.at = sent_at + 25
    assert not lease.trusted


def test_an_answer_that_comes_when_its_trust_is_over_gives_none(lease: Lease, clock: Clock) -> None:
    sent_at = clock()
    clock.move(26)
    lease.renewed(sent_at)
    assert not lease.trusted


def test_a_beat_that_was_missed_leaves_the_trust_as_it_was(lease: Lease, clock: Clock) -> None:
    lease.renewed(clock())
    lease.missed()
    assert lease.remaining == pytest.approx(25)


def beats(lease: Lease, clock: Clock, *, seconds: float) -> None:
    """Good beats every 7 seconds for this long."""
    end = clock() + seconds
    while clock() < end:
        lease.renewed(clock())
        clock.move(min(7.0, end - clock()))


def test_the_beats_are_unbroken_after_a_whole_lease_without_a_gap(lease: Lease, clock: Clock) -> None:
    beats(lease, clock, seconds=29.9)
    assert not lease.unbroken
    clock.move(0.2)
    assert lease.unbroken


def test_a_missed_beat_breaks_the_row_which_starts_again_at_the_next_good_one(
    lease: Lease, clock: Clock
) -> None:
    beats(lease, clock, seconds=60)
    assert lease.unbroken
    lease.missed()
    assert not lease.unbroken

    clock.move(1)
    beats(lease, clock, seconds=29.9)
    assert not lease.unbroken
    beats(lease, clock, seconds=1)
    assert lease.unbroken


def test_beats_that_came_too_late_for_the_trust_break_the_row_too(lease: Lease, clock: Clock) -> None:
    beats(lease, clock, seconds=60)
    clock.move(25)
    assert not lease.unbroken, "without trust nobody may judge"

    beats(lease, clock, seconds=29.9)
    assert not lease.unbroken


def test_who_was_declared_dead_goes_on_under_another_id_and_without_trust(lease: Lease, clock: Clock) -> None:
    beats(lease, clock, seconds=60)
    before = lease.consumer

    lease.ended()

    assert lease.consumer != before
    assert not lease.trusted
    beats(lease, clock, seconds=29.9)
    assert lease.trusted
    assert not lease.unbroken
