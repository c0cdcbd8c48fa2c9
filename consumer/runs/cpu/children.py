"""The calls of CPU-bound handlers, each in a child process, and the fork servers that the children come from.

A fork server has imported the handlers' modules once, so that a call costs a fork.
"""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

from sluice.consumer.runs.cpu import answers
from sluice.consumer.runs.cpu.child import ChildDied
from sluice.consumer.runs.cpu.fork_server import ForkServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluice.consumer.handlers.context import DetachedContext
    from sluice.consumer.handlers.registry import Handler
    from sluice.consumer.runs.cpu.child import Child
    from sluice.consumer.runs.running import Run
    from sluice.core.task import JsonText

_FORK_SECONDS = 10.0
"""A fork takes milliseconds. On a machine that is busy beyond measure it may take some hundred times that."""
_FORKS_AT_ONCE = 8
_SERVERS_TRIED = 3
_CLOSE_SECONDS = 0.5


class Children:
    """Starts, awaits and kills the children of one consumer. `fork_timeout`: seconds within which one is forked."""

    def __init__(self, preload: Sequence[str], *, fork_timeout: float = _FORK_SECONDS) -> None:
        self._preload = preload
        self._fork_timeout = fork_timeout
        self._starting = asyncio.Semaphore(_FORKS_AT_ONCE)
        self._servers: list[ForkServer] = []

    async def call(
        self,
        run: Run,
        handler: Handler,
        ctx: DetachedContext,
        payload: Any,  # noqa: ANN401 - what the handler takes
    ) -> JsonText | None:
        """The handler's result, encoded there. Raises what the handler raised, or ChildDied.

        A stop ends the wait for a child, or the child with all that it started; the result is then of no use.
        """
        if run.stopping:
            return None
        function, loop = handler.function, asyncio.get_running_loop()
        request = pickle.dumps((function.__module__, function.__qualname__, ctx, payload))
        until_stop = asyncio.timeout(None)
        try:
            async with until_stop:
                run.on_stop = lambda _: until_stop.reschedule(loop.time())
                child = await self._start()
                try:
                    return answers.read(await child.ask(request))
                finally:
                    await child.end()
        except TimeoutError:
            if not until_stop.expired():
                raise
            return None
        finally:
            run.on_stop = None

    async def _start(self) -> Child:
        """A child that waits for its request. A server that is dead or hangs has another take its place."""
        async with self._starting:
            for _ in range(_SERVERS_TRIED):
                try:
                    child = await self._server().fork(fork_timeout=self._fork_timeout)
                except OSError as refused:
                    raise ChildDied(f"no child process could be started: {refused}") from refused
                if child is not None:
                    return child
        raise ChildDied("no fork server starts the child process: each died or hung as it was asked to")

    def _server(self) -> ForkServer:
        """The one that is good, or a new one."""
        self._servers = [server for server in self._servers if not server.gone()]
        for server in self._servers:
            if server.good:
                return server
        self._servers.append(ForkServer(self._preload))
        return self._servers[-1]

    def kill_all(self) -> None:
        """End every child at once: the consumer is about to exit."""
        for server in self._servers:
            server.kill()

    async def close(self) -> None:
        """End every child and every fork server, and wait for the latter a moment."""
        self.kill_all()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                while not all(server.gone() for server in self._servers):  # noqa: ASYNC110 - no event tells of that
                    await asyncio.sleep(0.005)
        except TimeoutError:
            return
