from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sluice.cli.client import ApiRefused, ApiUnreachable
from sluice.cli.progress import WaitedTooLong, wait
from sluice.cli.watch import Watch


class FakeApi:
    """Tasks by id, newest first, as the API lists them; counts what is asked."""

    def __init__(self, tasks: int) -> None:
        self.statuses = {_id(number): "pending" for number in range(tasks)}
        self.asked: Counter[str] = Counter()
        self.failures: list[Exception] = []

    def get(self, task_id: str) -> dict[str, Any]:
        self.asked["get"] += 1
        self._fail()
        if task_id not in self.statuses:
            raise ApiRefused(404, "Not Found", "gone")
        return {"id": task_id, "status": self.statuses[task_id]}

    def page(self, *, cursor: str | None = None, limit: int = 500) -> tuple[list[dict[str, Any]], str | None]:
        self.asked["page"] += 1
        self._fail()
        ids = sorted((i for i in self.statuses if cursor is None or i < cursor), reverse=True)
        shown = ids[:limit]
        return [{"id": i, "status": self.statuses[i]} for i in shown], shown[-1] if len(ids) > limit else None

    def end(self, *numbers: int, status: str = "completed") -> None:
        self.statuses.update({_id(number): status for number in numbers})

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


def _id(number: int) -> str:
    return f"0193-{number:08d}"


def _watch(api: FakeApi, numbers: range, page_limit: int = 500) -> Watch:
    return Watch(api, [_id(number) for number in numbers], page_limit=page_limit)  # type: ignore[arg-type]


def test_one_task_is_asked_for_by_its_id() -> None:
    api = FakeApi(1000)
    watch = _watch(api, range(1))
    api.end(0, status="failed")
    watch.look()
    assert api.asked == {"get": 1}
    assert watch.last == {"id": _id(0), "status": "failed"}
    assert not watch.open


def test_a_thousand_tasks_are_two_requests() -> None:
    api = FakeApi(1000)
    watch = _watch(api, range(1000))
    watch.look()
    assert api.asked == {"page": 2}
    assert watch.counts == {"pending": 1000}


def test_tasks_among_newer_and_older_ones_of_others_are_all_found() -> None:
    api = FakeApi(3000)
    api.end(*range(1000, 1700))
    watch = _watch(api, range(1000, 2000), page_limit=100)
    watch.look()
    assert watch.counts == {"pending": 300, "completed": 700}
    assert api.asked["page"] <= 21
    assert api.asked["get"] == 0


def test_pages_of_newer_tasks_are_read_once_even_while_more_arrive() -> None:
    api = FakeApi(1000)
    watch = _watch(api, range(100), page_limit=100)
    watch.look()
    assert api.asked["page"] == 10
    api.statuses |= {_id(number): "pending" for number in range(1000, 2000)}
    watch.look()
    assert api.asked["page"] == 11


def test_pages_at_either_end_whose_tasks_have_ended_are_not_read_again() -> None:
    api = FakeApi(1000)
    watch = _watch(api, range(1000), page_limit=100)
    watch.look()
    api.end(*range(500), *range(700, 1000))
    watch.look()
    before = api.asked["page"]
    watch.look()
    assert api.asked["page"] - before == 2
    assert watch.counts == {"completed": 800, "pending": 200}


def test_a_task_that_left_the_list_is_not_searched_for_among_all_older_ones() -> None:
    api = FakeApi(10_000)
    watch = _watch(api, range(9_900, 10_000), page_limit=100)
    del api.statuses[_id(9_950)]
    with pytest.raises(ApiRefused):
        watch.look()
    assert api.asked["page"] <= 2


def test_a_task_that_left_the_list_is_asked_for_by_id_and_its_absence_told() -> None:
    api = FakeApi(20)
    watch = _watch(api, range(20))
    del api.statuses[_id(7)]
    with pytest.raises(ApiRefused, match="gone"):
        watch.look()


def test_waiting_outlives_an_api_that_is_away_for_a_moment() -> None:
    api = FakeApi(1)
    api.end(0)
    api.failures = [ApiUnreachable("http://x", "refused"), ApiRefused(503, "Service Unavailable", "")]
    watch = _watch(api, range(1))
    wait(watch, timeout=30, hint="")
    assert watch.counts == {"completed": 1}
    assert api.asked["get"] == 3


def test_waiting_ends_at_once_when_the_api_refuses() -> None:
    api = FakeApi(1)
    api.failures = [ApiRefused(404, "Not Found", "")]
    with pytest.raises(ApiRefused):
        wait(_watch(api, range(1)), timeout=30, hint="")


def test_a_wait_that_is_over_says_what_is_open_and_how_to_look() -> None:
    api = FakeApi(10)
    api.end(1, 2)
    with pytest.raises(WaitedTooLong, match=r"after 0.01 s \(8 pending, 2 completed\).*sluice list"):
        wait(_watch(api, range(10)), timeout=0.01, hint="sluice list")
