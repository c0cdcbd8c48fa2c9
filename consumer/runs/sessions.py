"""The sessions of the runs of this process. Makes none that no handler asks for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sluice.consumer.handlers.context import NO_SESSION
from sluice.consumer.runs.transaction import Transaction

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    from sluice.consumer.lease import Lease
    from sluice.consumer.runs.running import Run, Running
    from sluice.consumer.runs.transaction import MakesTransaction


class Sessions:
    """Opens them on the connections that handlers have to themselves."""

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
        """Return the session of this run, made when it is asked for first: most handlers never ask.

        Raises RuntimeError on another loop, where no handler is `async def`, and when the run has ended: nobody would
        commit what is written then.
        """
        if run.task is None or asyncio.get_running_loop() is not run.task.get_loop():
            raise RuntimeError(NO_SESSION)
        if run.transaction is None:
            if run.key not in self._running:
                raise RuntimeError("this run has ended: it can open no session any more")
            run.transaction = self._make(self._engine, run.claim.timeout, self._lease.margin / 2)
        return await run.transaction.open()
