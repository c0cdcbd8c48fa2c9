"""The life of claims, with handlers that end when and as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncSession

from sluice import Context
from sluice.consumer.handlers.registry import Handler, Mode
from sluice.consumer.intake.capacity import Capacity
from sluice.consumer.runs.complete import Complete
from sluice.consumer.runs.execute import Execute
from sluice.consumer.runs.journal import Journal
from sluice.consumer.runs.quarantine import Quarantine
from sluice.consumer.runs.running import Run, Running
from sluice.consumer.runs.sessions import Sessions
from sluice.consumer.runs.work import Work
from sluice.core.outcome import Completion, Failure, Outcome, Succeeded, Write
from sluice.core.task import ConsumerId, JsonText, Kind, RunKey, TaskId
from sluice.core.waiting import Bell
from tests.unit.support import Events, claim, nobody, now, settled, trusted

BROKEN = Failure("ValueError", "broken")
DONE = Succeeded(JsonText('"done"'))
HANDLERS = MappingProxyType({
    Kind(mode.name): Handler(Kind(mode.name), print, mode, str, None, None, None) for mode in Mode
})  # fmt: skip


class ServerSays(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"error {sqlstate}")
        self.sqlstate = sqlstate
        self.severity_en = "FATAL" if sqlstate.startswith("57P") else "ERROR"


class Transaction:
    """Stands in for the handler's transaction. It is itself the session."""

    made: list[Transaction]

    def __init__(self, engine: object, limit: float, patience: float) -> None:
        self.engine, self.limit, self.patience = engine, limit, patience
        self.used = False
        self.flushed, self.committing = True, False
        self.log: list[object] = []
        self.ours = True
        self.fails: Exception | None = None
        Transaction.made.append(self)

    async def open(self) -> AsyncSession:
        self.used = True
        return cast("AsyncSession", self)

    async def complete(self, done: Completion) -> bool:
        self.log.append(done)
        if self.fails is not None:
            raise self.fails
        return self.ours

    async def abandon(self) -> None:
        self.log.append("abandon")


class Scene:
    """Work whose handlers end when and as the test says. It is itself the execution and the writing.

    `naming`: the answer to a suspect's name, which is taken at once otherwise. `left_behind`: threads outlive their
    outcome, until the run is vacated.
    """

    def __init__(self, capacity: int = 4) -> None:
        self.events, self.running = Events(), Running()
        self.capacity = Capacity(capacity)
        self.lease = trusted(now)
        self.writes: list[Write] = []
        self.runs: list[Run] = []
        self.contexts: list[Context] = []
        self.ends: list[asyncio.Future[Outcome]] = []
        self.named: list[tuple[ConsumerId, TaskId]] = []
        self.naming: asyncio.Future[bool] | None = None
        self.left_behind, self.turns = False, 0
        self.scan_bell = Bell()
        self.scan_bell.ring = self._next
        self.leave: Callable[[Run, Outcome], None] = nobody
        self.quarantine = Quarantine(
            consumers=self, scan_bell=self.scan_bell, clock=now, random=Random(1), report=self.events
        )
        self.work = Work(
            registry=HANDLERS,
            execute=cast("Execute", self.execute),
            sessions=Sessions(
                engine=cast("Any", "engine"),
                running=self.running,
                lease=self.lease,
                transaction=Transaction,
            ),
            complete=cast("Complete", self),
            quarantine=self.quarantine,
            running=self.running,
            journal=Journal(self.events, now),
            capacity=self.capacity,
            lease=self.lease,
            clock=now,
            random=Random(1),
            report=self.events,
        )

    async def execute(
        self,
        run: Run,
        handler: Handler,
        ctx: Context,
        leave: Callable[[Run, Outcome], None],
    ) -> Outcome:
        assert handler.kind == run.claim.kind
        self.runs.append(run)
        self.contexts.append(ctx)
        self.leave = leave
        end = asyncio.get_running_loop().create_future()
        self.ends.append(end)
        try:
            outcome: Outcome = await end
            return outcome
        finally:
            if not self.left_behind:
                run.vacate()

    def _next(self) -> None:
        self.turns += 1

    async def name_suspect(self, consumer: ConsumerId, run: RunKey) -> bool:
        self.named.append((consumer, run[0]))
        return True if self.naming is None else await self.naming

    def put(self, write: Write) -> None:
        self.writes.append(write)

    async def start(self, *numbers: int, **facts: Any) -> None:
        self.capacity.take(len(numbers))
        claims = [claim(number, **{"kind": Kind("LOOP"), **facts}) for number in numbers]
        self.work.start(claims, self.lease.consumer)
        await settled()

    async def start_with_session(self, number: int) -> Transaction:
        """A run whose handler has asked for its session; the transaction behind it."""
        await self.start(number)
        await self.contexts[-1].session()
        return Transaction.made[-1]

    async def end(self, at: int, outcome: Outcome | Exception) -> None:
        if isinstance(outcome, Exception):
            self.ends[at].set_exception(outcome)
        else:
            self.ends[at].set_result(outcome)
        await settled()
