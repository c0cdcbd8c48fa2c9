"""What ctx.session() opens: the transaction of a run, made when it is asked for first. Most handlers never ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from sluice.consumer.handlers.context import NO_SESSION
from sluice.consumer.runs.transaction import OwnTransaction, Transaction

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    from sluice.consumer.lease import Lease
    from sluice.consumer.runs.running import Run, Running

MakesTransaction = Callable[["AsyncEngine", float, float], OwnTransaction]
"""From the engine behind ctx.session(), the task's timeout, and how long a ROLLBACK may take, both in seconds.

A run that was stopped for its lease must be gone before the margin is over (L3).
"""


class Sessions:
    """The sessions of this process's runs, on the connections that handlers have to themselves."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        running: Running,
        lease: Lease,
        transaction: MakesTransaction = Transaction,
    ) -> None:
        self._engine = engine
        self._running = running
        self._lease = lease
        self._make = transaction

    async def open(self, run: Run) -> AsyncSession:
        """Return the session of this run. Raises RuntimeError on another loop, where no handler is `async def`.

        The same when the run has ended: nobody would commit what is written then.
        """
        if run.task is None or asyncio.get_running_loop() is not run.task.get_loop():
            raise RuntimeError(NO_SESSION)
        if run.transaction is None:
            if run.key not in self._running:
                raise RuntimeError("this run has ended: it can open no session any more")
            run.transaction = self._make(self._engine, run.claim.timeout, self._lease.margin / 2)
        return await run.transaction.open()
