"""What a handler is given: facts of its task, and the door to a transactional session. Touches no store by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from sluice.core.ids import plain
from sluice.core.task import TaskId

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from sluice.core.clock import Clock
    from sluice.core.task import Claim, FencingToken, Kind

NO_SESSION = "ctx.session() is for `async def` handlers only"


class Attempt(Protocol):
    """What a context tells of: a claim that is being worked on, since when, and whether it is to stop."""

    @property
    def claim(self) -> Claim: ...
    @property
    def started_at(self) -> float: ...
    @property
    def stopping(self) -> bool: ...


class OpensSessions(Protocol):
    """Who opens the session of an attempt."""

    async def open(self, run: Any) -> AsyncSession: ...  # noqa: ANN401 - the attempt, as its opener knows it


class Context:
    """One try of one task, as its handler sees it. Safe to read from the handler's thread."""

    __slots__ = ("_claim", "_clock", "_run", "_sessions")

    def __init__(self, run: Attempt, sessions: OpensSessions | None, clock: Clock) -> None:
        self._run = run
        self._claim = run.claim
        self._sessions = sessions
        self._clock = clock

    @property
    def id(self) -> TaskId:
        """The task's id."""
        return TaskId(plain(self._claim.id))

    @property
    def kind(self) -> Kind:
        """What brought the task to this handler."""
        return self._claim.kind

    @property
    def message(self) -> str | None:
        """The task's message."""
        return self._claim.message

    @property
    def attempt(self) -> int:
        """The number of this try, from 1."""
        return self._claim.attempt

    @property
    def max_attempts(self) -> int:
        """How many tries there are."""
        return self._claim.max_attempts

    @property
    def fencing_token(self) -> FencingToken:
        """Grows with every change of the task's status.

        Hand it on to what you write to, so that it can refuse an older run.
        """
        return self._claim.token

    @property
    def deadline(self) -> datetime:
        """When this try times out, by this machine's clock."""
        expires = self._run.started_at + self._claim.timeout
        return datetime.now(UTC) + timedelta(seconds=max(0.0, expires - self._clock()))

    @property
    def canceled(self) -> bool:
        """Whether this run is to stop: its task was canceled, its time is over or its consumer is stopping.

        A `def` handler looks at it now and then; an `async def` one is canceled instead.
        """
        return self._run.stopping

    @property
    def log(self) -> Any:  # noqa: ANN401 - a structlog logger
        """A logger whose lines carry the task's id, kind and attempt."""
        return _logger(self)

    async def session(self) -> AsyncSession:
        """The session whose writes commit together with the completion when the handler returns, or not at all.

        Opened on first use; `commit()` inside ends a savepoint only. For `async def` handlers: raises RuntimeError in
        others. Waits for a connection at most as long as the task's timeout.
        """
        if self._sessions is None:
            raise RuntimeError(NO_SESSION)
        return await self._sessions.open(self._run)


@dataclass(frozen=True, slots=True)
class DetachedContext:
    """The context of a `cpu_bound` handler: plain values that travel to its child process."""

    id: TaskId
    kind: Kind
    message: str | None
    attempt: int
    max_attempts: int
    fencing_token: FencingToken
    deadline: datetime
    canceled: bool = False
    """Always False: the child is killed when its run is to stop."""

    @classmethod
    def of(cls, context: Context) -> DetachedContext:
        """The same facts, detached from this process."""
        return cls(
            context.id,
            context.kind,
            context.message,
            context.attempt,
            context.max_attempts,
            context.fencing_token,
            context.deadline,
        )

    @property
    def log(self) -> Any:  # noqa: ANN401 - a structlog logger
        """A logger whose lines carry the task's id, kind and attempt."""
        return _logger(self)

    async def session(self) -> AsyncSession:
        """Raises RuntimeError: a child process has no part in the completion's transaction."""
        raise RuntimeError(NO_SESSION)


def _logger(context: Context | DetachedContext) -> Any:  # noqa: ANN401 - a structlog logger
    from sluice.core.telemetry.log import handler_logger  # noqa: PLC0415 - a module of handlers imports this one

    return handler_logger(task=str(context.id), kind=context.kind, attempt=context.attempt)
