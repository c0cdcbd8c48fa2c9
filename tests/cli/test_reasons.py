from __future__ import annotations

from typing import Any

from sluice.cli.reasons import Reasons
from tests.cli.support import Command


def _ended(number: int, message: str | None = None, status: str = "failed") -> dict[str, Any]:
    error = (
        None if message is None else {"type": "ValueError", "message": message, "at": "2030-01-01T00:00:00Z"}
    )
    return {"id": f"task-{number}", "status": status, "error": error}


def _lines(*tasks: dict[str, Any]) -> list[str]:
    reasons = Reasons()
    for task in tasks:
        reasons.note(task)
    return list(reasons.lines())


def test_reasons_are_counted_with_the_first_ids_the_commonest_first() -> None:
    failed = [_ended(number, "no such user\nnor any like it") for number in range(5)]
    assert _lines(_ended(9, status="canceled"), *failed) == [
        "5 failed: ValueError: no such user (task-0, task-1, task-2 and 2 more)",
        "1 canceled (task-9)",
    ]


def test_an_error_without_a_message_is_its_type() -> None:
    assert _lines(_ended(1, "")) == ["1 failed: ValueError (task-1)"]


def test_reasons_that_are_all_different_take_a_few_lines_and_little_memory() -> None:
    *first, rest = _lines(*(_ended(number, f"user {number}") for number in range(3000)))
    assert first[0] == "2,000 other reasons (task-1000, task-1001, task-1002 and 1,997 more)"
    assert len(first) == 5
    assert rest == "996 for 996 other reasons"


async def test_a_wait_for_many_names_the_ids_and_reasons_of_those_that_did_not_complete(
    asking: Command,
) -> None:
    result = await asking("submit", "--kind", "fail", "--max-attempts", "1", "--count", "7", "--wait")
    assert result.status == 1
    failed = (await asking("list", "--kind", "fail", "--limit", "7", "-q")).stdout.split()
    headline, reason = result.stderr.splitlines()[-2:]
    assert headline == "Error: 7 tasks did not complete"
    assert reason.startswith("7 failed: ")
    assert reason.endswith(" and 4 more)")
    assert sum(task_id in reason for task_id in failed) == 3
