"""Follows tasks until each has ended, in rounds that the caller times. Prints nothing, waits for nothing.

One task is asked for by its id. Many are read a page at a time: a thousand tasks are two requests a round. The list
is newest first by an order that never changes, so a place in it (a cursor) stays good: pages in front whose tasks
have all ended are not read again, and a round stops where the oldest open task lies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sluice.cli.client import PAGE_LIMIT, Api, Task
from sluice.cli.reasons import Reasons
from sluice.core.task import TERMINAL, Status

_FEW = 5
"""Up to here, asking for each by id is cheaper than reading a page of other people's tasks."""


class Watch:
    """The tasks still open, the last status seen of each, and why those that ended did not complete."""

    def __init__(self, api: Api, ids: Sequence[str], *, page_limit: int = PAGE_LIMIT) -> None:
        self._api = api
        self._statuses = dict.fromkeys(ids, "pending")
        self._page_limit = page_limit
        self._start: str | None = None
        self.open = set(ids)
        self.last: Task | None = None
        self.reasons = Reasons()

    @property
    def counts(self) -> Counter[str]:
        """How many of the tasks had each status when last seen."""
        return Counter(self._statuses.values())

    def look(self) -> None:
        """One round over what is open. Raises what Api raises; looking again later is safe."""
        missing = set(self.open)
        if len(missing) > _FEW:
            self._read_pages(missing)
        for task_id in missing:
            self._note(self._api.get(task_id))

    def _read_pages(self, missing: set[str]) -> None:
        cursor = self._start
        oldest = min(missing)
        leading = True
        while missing:
            tasks, following = self._api.page(cursor=cursor, limit=self._page_limit)
            for task in tasks:
                if task["id"] in missing:
                    missing.discard(task["id"])
                    self._note(task)
            leading = leading and not any(task["id"] in self.open for task in tasks)
            if following is None:
                return
            if leading:
                self._start = following
            if tasks and tasks[-1]["id"] <= oldest:
                return
            cursor = following

    def _note(self, task: Task) -> None:
        self._statuses[task["id"]] = task["status"]
        self.last = task
        if task["status"] in TERMINAL:
            self.open.discard(task["id"])
            if task["status"] != Status.COMPLETED:
                self.reasons.note(task)
