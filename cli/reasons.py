"""Why tasks did not complete: counted by reason, with a few ids of each. Keeps memory small, whatever the tasks say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sluice.cli.client import Task
from sluice.cli.remarks import why

_IDS = 3
_SHOWN = 5
_KEPT = 1000
_OTHER = "other reasons"


@dataclass(slots=True)
class _Group:
    count: int = 0
    ids: list[str] = field(default_factory=list)


class Reasons:
    """Tasks that have ended, grouped by why they did not complete."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}

    def note(self, task: Task) -> None:
        """Take in a task that has ended and did not complete."""
        reason = ": ".join(part for part in (str(task.get("status")), why(task)) if part)
        if reason not in self._groups and len(self._groups) >= _KEPT:
            reason = _OTHER
        group = self._groups.setdefault(reason, _Group())
        group.count += 1
        if len(group.ids) < _IDS:
            group.ids.append(str(task.get("id")))

    def lines(self) -> Iterator[str]:
        """Yield a line for each of the commonest reasons, and one for the rest."""
        groups = sorted(self._groups.items(), key=lambda item: -item[1].count)
        for reason, group in groups[:_SHOWN]:
            others = group.count - len(group.ids)
            ids = ", ".join(group.ids) + (f" and {others:,} more" if others else "")
            yield f"{group.count:,} {reason} ({ids})"
        if rest := sum(group.count for _, group in groups[_SHOWN:]):
            yield f"{rest:,} for {len(groups) - _SHOWN:,} other reasons"
