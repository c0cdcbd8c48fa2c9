from __future__ import annotations

from datetime import timedelta

import pytest

from sluice.consumer.stores import answer_timeout


@pytest.mark.parametrize(("lease", "waits"), [(1.0, 2 / 3), (6.0, 4.0), (30.0, 12.0), (3600.0, 12.0)])
def test_a_statement_is_sent_again_before_others_may_judge_and_after_12_seconds_at_the_latest(
    lease: float, waits: float
) -> None:
    assert answer_timeout(timedelta(seconds=lease)).total_seconds() == pytest.approx(waits)
