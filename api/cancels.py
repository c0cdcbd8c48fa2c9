"""Tells consumers that a running task was canceled. A hint: the row is the truth (S3 cancels)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sluice.core.errors import StoreUnavailable
from sluice.core.events import StoreLost
from sluice.core.task import Status

if TYPE_CHECKING:
    from sluice.core.events import Report
    from sluice.core.task import Task

LIMIT = timedelta(milliseconds=250)
"""How long an answer may wait for Redis: the handler is to be canceled within 100 ms of it."""


class TellsCanceled(Protocol):
    """What is needed of the signals."""

    async def tell_canceled(self, task: Task) -> None: ...


class Cancels:
    """`signals` None: there is no Redis to say it through."""

    def __init__(self, signals: TellsCanceled | None, *, report: Report) -> None:
        self._signals = signals
        self._report = report

    async def tell(self, task: Task) -> None:
        """Say it when `task` was running. Over within LIMIT, and never fails. Safe to repeat."""
        if self._signals is None or task.canceled_from is not Status.PROCESSING:
            return
        try:
            async with asyncio.timeout(LIMIT.total_seconds()):
                await self._signals.tell_canceled(task)
        except TimeoutError:
            self._report(StoreLost("Redis", doing="tell of a cancel", reason="no answer in time"))
        except StoreUnavailable as away:
            self._report(StoreLost(away.store, doing="tell of a cancel", reason=away.reason))
