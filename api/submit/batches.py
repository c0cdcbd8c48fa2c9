"""Large submissions: each may take as long as PostgreSQL answers others meanwhile. Gathers and inserts nothing itself.

Ten thousand rows take a busy server longer than the two seconds after which it counts as away. So a slow statement is
told from a silent server by a second, small question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sluice.api.schemas.submission import MAX_BATCH
from sluice.api.shared import Shared
from sluice.api.timeout import Timeout
from sluice.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from sluice.api.submit.submissions import Submissions
    from sluice.core.task import NewTask, TaskId
    from sluice.db.tasks import Accepted

LONGEST = timedelta(seconds=20)
"""How long a batch may take, whoever answers."""
MOST_ROWS_WAITING = 10 * MAX_BATCH
"""Ten of the largest batches may come at once. Of small tasks: large ones meet MOST_BYTES_WAITING before."""
ASKS_EVERY_SECONDS = 0.8
ANSWERS_WITHIN = timedelta(seconds=0.6)
"""Together with ASKS_EVERY_SECONDS and the wait for the kinds before: the 503 is out within two seconds."""


class Batches:
    """Submits batches through `desk`. `ask` is any small question to PostgreSQL, on another connection."""

    def __init__(self, desk: Submissions, *, ask: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._desk = desk
        self._ask = ask
        self._answers = Timeout(ANSWERS_WITHIN)
        # Those that came together would ask together, on few connections.
        self._is_there = Shared(self._ask_once)

    async def submit(self, new: Sequence[NewTask]) -> Mapping[TaskId, Accepted]:
        """All of `new` or none, committed; errors as Submissions.submit has them."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LONGEST.total_seconds()
        unit = self._desk.put(new)
        try:
            while not unit.answer.done():
                await asyncio.wait({unit.answer}, timeout=ASKS_EVERY_SECONDS)
                if not unit.answer.done() and (loop.time() > deadline or not await self._is_there()):
                    self._desk.give_up(unit)
            return unit.answer.result()
        finally:
            self._desk.leave(unit)  # a caller that was canceled has not had its answer

    async def _ask_once(self) -> bool:
        try:
            await self._answers(self._ask())
        except StoreUnavailable:
            return False
        return True
