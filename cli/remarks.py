"""What a list says of a task beside its fields: when it is due, and what its last try ended with. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.text import Text

from sluice.cli.client import Task
from sluice.cli.text import printable

_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_NOTHING = timedelta()


def remarks(task: Task, now: datetime) -> Sequence[Text]:
    """Return when a waiting task is due, and the first line of the error that one not completed has."""
    due = _instant(task.get("run_at")) if task.get("status") == "pending" else None
    reason = why(task) if task.get("status") != "completed" else ""
    return (
        *([Text(f"due in {length(due - now)}", style="yellow")] if due is not None and due > now else []),
        *([Text(printable(reason), style="red")] if reason else []),
    )


def why(task: Task) -> str:
    """Return the type of a task's last error and the first line of its message; nothing where it has none."""
    error = task.get("error")
    if not isinstance(error, dict):
        return ""
    first, *_ = str(error.get("message") or "").strip().splitlines() or [""]
    return f"{error.get('type')}: {first}" if first else str(error.get("type"))


def age(created_at: str, now: datetime) -> str:
    """How long ago, in the largest fitting unit. This machine's clock against the database's: never below zero."""
    created = _instant(created_at)
    return "?" if created is None else length(now - created)


def length(time: timedelta) -> str:
    """Return `time` in the largest unit of which it holds one; never below 0s."""
    seconds = max(_NOTHING, time).total_seconds()
    return next((f"{int(seconds // size)}{unit}" for size, unit in _UNITS if seconds >= size), "0s")


def _instant(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
