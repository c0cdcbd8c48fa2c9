from __future__ import annotations

import time
from uuid import UUID

import pytest

from sluice.core.clock import boottime, since_boot
from sluice.core.ids import new_consumer_id, new_task_id


def test_a_task_s_id_is_a_uuid_of_version_7_that_starts_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    found = new_task_id()
    after = time.time_ns() // 1_000_000

    assert type(found) is UUID
    assert (found.version, found.variant) == (7, "specified in RFC 4122")
    assert before <= found.int >> 80 <= after


def test_ids_are_ordered_as_they_were_made_and_never_the_same() -> None:
    made = [new_task_id() for _ in range(1000)]
    assert sorted(set(made)) == made
    assert new_consumer_id() != new_consumer_id()


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux has it")
def test_the_clock_of_leases_runs_on_while_the_machine_sleeps() -> None:
    assert boottime() <= time.clock_gettime(time.CLOCK_BOOTTIME) <= boottime()


def test_where_there_is_no_such_clock_the_monotonic_one_serves() -> None:
    assert since_boot(None) is time.monotonic
