"""A machine whose processes last as long as a test says, and a family that is supervised on it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine

from sluice.core.process import supervisor
from tests.unit.support import now, settled


class Child:
    """A process that lasts as long as the test says, and ends when asked to."""

    def __init__(self, command: tuple[str, ...], lasts: float, status: int, on_term: float | None) -> None:
        self.command, self.born = command, now()
        self._ended = asyncio.Event()
        self._status = status
        self._on_term = on_term
        self.signals: list[float] = []
        self.numbers: list[int] = []
        asyncio.get_running_loop().call_later(lasts, self._ended.set)

    pid = (1 << 31) - 1  # no session has this number

    def send_signal(self, number: int) -> None:
        self.numbers.append(number)
        self.signals.append(now())
        if self._on_term is None:
            raise ProcessLookupError
        asyncio.get_running_loop().call_later(self._on_term, self._end)

    def _end(self) -> None:
        if not self._ended.is_set():
            self._status = self.after_term
            self._ended.set()

    def kill(self) -> None:
        self._status = -signal.SIGKILL
        self._ended.set()

    after_term = 0

    async def wait(self) -> int:
        await self._ended.wait()
        return self._status


class Machine:
    """Where children are started: each as `plan` says next, the last plan for all that follow."""

    def __init__(self) -> None:
        self.plan: list[tuple[float, int]] = [(1e6, 0)]
        self.on_term: float | None = 0.5
        self.start_takes = 0.0
        self.refusals: list[int] = []
        self.asked = 0
        self.children: list[Child] = []
        self.handlers: dict[int, Callable[[], None]] = {}

    async def signal(self, number: int = signal.SIGTERM) -> None:
        """The parent gets a signal."""
        self.handlers[number]()
        await settled()

    async def start(self, *command: str, start_new_session: bool, pass_fds: tuple[int, ...]) -> Child:
        assert start_new_session, "Ctrl-C must reach children through their parent alone"
        assert pass_fds == ()
        await asyncio.sleep(self.start_takes)
        self.asked += 1
        if self.asked in self.refusals:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        lasts, status = self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]
        self.children.append(Child(command, lasts, status, self.on_term))
        return self.children[-1]

    @property
    def births(self) -> list[float]:
        return [child.born for child in self.children]


async def supervised(n: int, act: Callable[[], Coroutine[None, None, None]]) -> int:
    """The status of `n` supervised children, beside what the test does."""
    async with asyncio.TaskGroup() as group:
        supervising = group.create_task(supervisor.supervise(n, "consumer"))
        await settled()
        await act()
    return supervising.result()
