"""The runs of this process: each task that owns a handler, by id and token. Starts nothing and writes nothing."""

from __future__ import annotations

import asyncio
import contextvars
import decimal
from collections import OrderedDict
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sluice.consumer.runs.transaction import OwnTransaction
    from sluice.core.task import Claim, ConsumerId, RunKey

_REMEMBERED = 10_000


class Stop(Enum):
    """Why a run is to stop."""

    CANCELED = "its row was canceled or taken"
    TIMED_OUT = "its time is over"
    DRAIN = "the consumer is stopping"
    LEASE = "the consumer's lease is no longer trusted"


class Run:
    """One claim being worked on, under the id that claimed it.

    `vacate` is called once, when its handler is out of the way. `on_stop` is set while something can be stopped, and is
    called at most once. `transaction` is there once the handler has asked for a session. `left_behind`: its outcome was
    handed on while its handler goes on.
    """

    __slots__ = (
        *("claim", "consumer", "key", "left_behind", "on_stop", "started_at", "stop_reason", "task"),
        *("transaction", "vacate"),
    )

    def __init__(
        self, claim: Claim, started_at: float, consumer: ConsumerId, vacate: Callable[[], None]
    ) -> None:
        self.claim = claim
        self.consumer = consumer
        self.key = claim.key
        self.started_at = started_at
        self.vacate = vacate
        self.task: asyncio.Task[None] | None = None
        self.stop_reason: Stop | None = None
        self.on_stop: Callable[[Stop], object] | None = None
        self.transaction: OwnTransaction | None = None
        self.left_behind = False

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self.stop_reason is not None

    def stop(self, reason: Stop) -> None:
        """Ask it to stop. The first reason stays; later ones change nothing."""
        if self.stop_reason is None:
            self.stop_reason = reason
            if self.on_stop is not None:
                self.on_stop(reason)


class Running:
    """The one owner of runs and of the asyncio tasks that carry them. Not thread-safe: for the loop alone.

    Each run begins with the context variables that were set when this was made, whatever task starts it: often it is
    the one of another run, whose handler has bound what is its customer's alone.
    """

    def __init__(self) -> None:
        self._clean = _without_decimals(contextvars.copy_context())
        self._left: set[asyncio.Task[None]] = set()
        self._runs: dict[RunKey, Run] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._canceled_early: OrderedDict[RunKey, None] = OrderedDict()

    def __len__(self) -> int:
        """How many runs there are."""
        return len(self._runs)

    def __contains__(self, key: RunKey) -> bool:
        """Whether this run is here."""
        return key in self._runs

    def start(self, run: Run, life: Coroutine[None, None, None]) -> None:
        """Own it from now on; `life` is its task, and ends with `remove`."""
        if not self._runs:
            self._idle.clear()
        self._runs[run.key] = run
        if self._canceled_early and self._canceled_early.pop(run.key, 0) is None:
            run.stop(Stop.CANCELED)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # before Python 3.12 each call asks for the process's id
        clean = self._clean.copy()
        run.task = self._loop.create_task(life, context=clean)  # owner: this, until the run removes itself

    def hand_over(self, run: Run, life: Coroutine[None, None, None]) -> None:
        """Let `life` end the run in place of its task, which goes on and is kept alive, but counts as none."""
        if run.task is None:
            raise AssertionError("a run that is handed over has begun")
        run.left_behind = True
        self._left.add(run.task)
        run.task.add_done_callback(self._left.discard)
        clean = self._clean.copy()
        run.task = asyncio.get_running_loop().create_task(life, context=clean)  # owner: as in `start`

    def remove(self, run: Run) -> None:
        """Let go of it: it has ended."""
        del self._runs[run.key]
        if not self._runs:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing runs. Safe to cancel."""
        await self._idle.wait()

    def keys(self) -> set[RunKey]:
        """Return the runs that are here. Safe on any thread: a dict becomes a list in one step."""
        return set(list(self._runs))  # noqa: C414 - the list is that step

    def keys_of_others(self, consumer: ConsumerId) -> set[RunKey]:
        """Return those of them that were claimed under another id. Safe on any thread, as `keys`."""
        return {run.key for run in self.runs() if run.consumer != consumer}

    def runs(self) -> list[Run]:
        """Return a copy, safe to walk while runs end. Safe on any thread, as `keys`."""
        return list(self._runs.values())

    def stop(self, key: RunKey, reason: Stop) -> None:
        """Stop exactly this run (S3 cancels). One that is not here yet is remembered: messages may outrun claims."""
        run = self._runs.get(key)
        if run is not None:
            run.stop(reason)
        elif reason is Stop.CANCELED:
            self._canceled_early[key] = None
            if len(self._canceled_early) > _REMEMBERED:
                self._canceled_early.popitem(last=False)

    def stop_all(self, reason: Stop) -> None:
        """Stop every run."""
        for run in self.runs():
            run.stop(reason)


def _without_decimals(context: contextvars.Context) -> contextvars.Context:
    """Return the same without the decimal context, which all copies would share: one run would set another's precision.

    Each run makes one of its own, from decimal.DefaultContext. What the handlers' modules have set in theirs is put
    there.
    """
    clean = contextvars.Context()
    for variable, value in context.items():
        if not isinstance(value, decimal.Context):
            clean.run(variable.set, value)
            continue
        for name in ("prec", "rounding", "Emin", "Emax", "capitals", "clamp"):
            setattr(decimal.DefaultContext, name, getattr(value, name))
        decimal.DefaultContext.traps.update(value.traps)
    return clean
