"""What a simulated loop runs: hosts, each one thread of one simulated process, and the tasks on them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any


class Host:
    """Where callbacks run. While paused they wait, timers too; once dead they are dropped.

    `loop_host`: for a thread without a loop of its own, the host whose loop it calls back.
    """

    def __init__(self, name: str, loop_host: Host | None = None) -> None:
        self.name = name
        self.loop_host = loop_host or self
        self.ready: deque[asyncio.Handle] = deque()
        self.pauses = 0
        self.dead = False

    def pause(self) -> None:
        """Freeze; as often as it is resumed."""
        self.pauses += 1

    def resume(self) -> None:
        """Go on with everything that came due meanwhile."""
        self.pauses -= 1

    def die(self) -> None:
        """Nothing of it runs any more."""
        self.dead = True
        self.ready.clear()


current_host: ContextVar[Host | None] = ContextVar("host", default=None)


def here() -> Host | None:
    """The host that is running."""
    return current_host.get()


class SimTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address."""

    def __init__(self, number: int, coro: Coroutine[Any, Any, Any], **options: Any) -> None:
        self.number = number
        self.coroutine = coro
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other
