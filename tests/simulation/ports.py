"""The network between simulated processes and the stores, where the seed decides what goes wrong with each call.

A statement runs on the server's own host: what becomes of it does not depend on whoever asked for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from random import Random
from typing import Any

from sluice.core.errors import StoreUnavailable
from tests.simulation.loop import SimLoop

Act = Callable[[], Awaitable[Any]]
Lost = Callable[[str], Exception]
"""Makes the error for a connection that was lost or an answer that did not come."""


class Fault(Enum):
    """What happens to one call."""

    NONE = "none"
    BEFORE = "lost on the way there"
    AFTER = "its answer is lost"
    SILENT = "swallowed: no answer"
    MUTE = "applied, and no answer"
    LATE = "applied late, and no answer"
    CUT = "the connection is lost at once, and it is applied a little later"


class State(Enum):
    """What a server does with calls."""

    UP = "up"
    REFUSING = "nobody listens"
    DARK = "nothing comes through"


_WORSE = {"commit": 6, "reap": 24, "PUBLISH": 24, "name_suspect": 30}
"""What most depends on, or rests on an earlier look, and comes seldom: so many times as often."""


@dataclass(slots=True)
class Weather:
    """How often each fault strikes a call, and how long a way takes on average (seconds)."""

    before: float = 0.0
    after: float = 0.0
    silent: float = 0.0
    mute: float = 0.0
    late: float = 0.0
    cut: float = 0.0
    latency: float = 0.001

    def calm(self) -> None:
        """From here on nothing goes wrong."""
        self.before = self.after = self.silent = self.mute = self.late = self.cut = 0.0

    def fault(self, random: Random, name: str) -> Fault:
        """The next call's."""
        at = random.random() / _WORSE.get(name, 1)
        for share, fault in (
            (self.before, Fault.BEFORE),
            (self.after, Fault.AFTER),
            (self.silent, Fault.SILENT),
            (self.mute, Fault.MUTE),
            (self.late, Fault.LATE),
            (self.cut, Fault.CUT),
        ):
            if at < share:
                return fault
            at -= share
        return Fault.NONE


@dataclass(slots=True)
class Call:
    """One statement on its way."""

    who: str
    name: str
    args: Any
    act: Act
    lost: Lost


class Server:
    """One store's server, seen through the network. `applied` hears of each statement right after it took place."""

    def __init__(
        self,
        name: str,
        loop: SimLoop,
        random: Random,
        weather: Weather,
        *,
        note: Callable[[str], None],
        applied: Callable[[Call], None],
    ) -> None:
        self.name = name
        self.weather = weather
        self.state = State.UP
        self._loop = loop
        self._random = random
        self._note = note
        self._applied = applied
        self._host = loop.host(name)
        self._waiting: dict[asyncio.Future[Any], Call] = {}
        self._held: list[tuple[Call, asyncio.Future[Any]]] = []

    def change(self, state: State) -> None:
        """Go away or come back. What waits for an answer of a server that stops listening fails at once."""
        self.state = state
        self._note(f"{self.name} is {state.value}")
        if state is State.REFUSING:
            self.cut()
            self._held.clear()
        if state is State.UP:
            held, self._held = self._held, []
            for call, answer in held:  # packets that were on their way while nothing came through
                self._arrive(call, answer, Fault.MUTE)

    def cut(self, who: str | None = None) -> None:
        """Every connection (of `who`) is lost: those who wait for an answer hear of it."""
        for answer, call in list(self._waiting.items()):
            if who in {None, call.who} and not answer.done():
                answer.set_exception(call.lost("the connection was lost"))

    async def ask(self, call: Call, limit: float | None) -> Any:
        """The answer, or an error of `call.lost` when none came within `limit` seconds."""
        fault = self.weather.fault(self._random, call.name)
        self._note(
            f"{call.who} asks {self.name}: {call.name} {fault.name if fault is not Fault.NONE else ''}"
        )
        if self.state is State.REFUSING:
            await asyncio.sleep(self._way())
            raise refused(self.name, call)
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting[answer] = call
        there = self._way()
        if fault is Fault.LATE:
            there = self._random.uniform(0.0, 1.5) * (limit or 5.0)
        elif fault is Fault.CUT:
            there += self._random.uniform(0.0, 0.8)
            self._loop.call_later(
                self._way(), self._deliver, answer, None, call.lost("the connection was lost")
            )
        act = partial(self._arrive, call, answer, fault)
        self._loop.call_later(there, act, context=self._loop.context(self._host))
        try:
            async with asyncio.timeout(limit):
                return await answer
        except TimeoutError:
            raise call.lost("no answer in time") from None
        finally:
            del self._waiting[answer]

    def _arrive(self, call: Call, answer: asyncio.Future[Any], fault: Fault) -> None:
        """On the server's host: the statement is here."""
        if self.state is State.DARK:
            if self._random.random() < 0.3:
                self._held.append((call, answer))
        elif self.state is State.UP and fault is Fault.BEFORE:
            if not answer.done():
                answer.set_exception(call.lost("the connection was lost"))
        elif self.state is State.UP and fault is not Fault.SILENT:
            self._loop.start(self._host, self._serve(call, answer, fault))

    async def _serve(self, call: Call, answer: asyncio.Future[Any], fault: Fault) -> None:
        result, error = None, None
        try:
            result = await call.act()
        except Exception as raised:  # noqa: BLE001 - travels to whoever asked
            error = raised
        if error is None:
            self._applied(call)
        if fault in {Fault.MUTE, Fault.LATE, Fault.CUT}:
            return
        if fault is Fault.AFTER:
            error = call.lost("the connection was lost")
        self._loop.call_later(self._way(), self._deliver, answer, result, error)

    def _deliver(self, answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        if answer.done() or self.state is not State.UP:
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)

    def _way(self) -> float:
        return self._random.expovariate(1.0) * self.weather.latency


def refused(name: str, call: Call) -> Exception:
    """Nobody listens: nothing was sent."""
    lost = call.lost("connection refused")
    return StoreUnavailable(name, "connection refused") if isinstance(lost, StoreUnavailable) else lost


class Pool:
    """Connections of one process to a server: so many calls at once, and so long a wait for one."""

    def __init__(self, size: int, wait: float, unavailable: Callable[[str], Exception]) -> None:
        self._free = asyncio.Semaphore(size)
        self._wait = wait
        self._unavailable = unavailable

    async def within(self, call: Awaitable[Any]) -> Any:
        """The call, on a connection."""
        try:
            async with asyncio.timeout(self._wait):
                await self._free.acquire()
        except TimeoutError:
            _drop(call)
            raise self._unavailable("no connection became free in time") from None
        except BaseException:
            _drop(call)
            raise
        try:
            return await call
        finally:
            self._free.release()


def _drop(call: Any) -> None:
    call.close()


class Proxy:
    """A store whose every method goes through a port."""

    def __init__(self, target: Any, ask: Callable[[str, Any, Act], Awaitable[Any]]) -> None:
        self._target = target
        self._ask = ask

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        async def call(*args: Any, **values: Any) -> Any:
            return await self._ask(name, args, partial(method, *args, **values))

        setattr(self, name, call)
        return call
