"""`sluice api`: the process around the application, or the parent of several. Answers no request itself."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any

import uvicorn
import uvloop

from sluice.api.http import listen
from sluice.api.http.connection import Connection, end_overdue
from sluice.api.main import Beside, create_app
from sluice.api.start import check_stores
from sluice.core.errors import SluiceError
from sluice.core.process import runner
from sluice.core.process.forks import set_forks_apart
from sluice.core.process.parent_death import die_with_parent
from sluice.core.process.signals import STOPS, on_stops
from sluice.core.process.stop import StopOrder
from sluice.core.process.supervisor import as_it_was, supervise
from sluice.core.settings import ApiSettings, load
from sluice.core.telemetry import log
from sluice.core.telemetry.report import Reporter
from sluice.core.waiting import unless

CONSUMER = "sluice.cli.api_with_consumer:consumer_beside"
"""Named, not imported: the API and the consumer know nothing of each other."""
REQUESTS_END_SECONDS = 5
"""How long a stop waits for requests, and what takes longer is cut off: a slow body, or a batch on a busy server.

Everything else is answered within two seconds once its body is there. A second stop that comes before the application
has begun to end waits as long for that.
"""
KEEP_ALIVE_SECONDS = 65
"""Longer than the usual load balancer keeps a connection, so that none is closed just when it is used again."""


def run(
    *,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
    with_consumer: bool = False,
) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP; the exit status. `workers`: so many processes, if more than one."""
    try:
        settings = load(ApiSettings, api_host=host, api_port=port)
        log.configure(settings.log_level, settings.log_format)
        log.never_wait()
        with as_it_was() if workers else nullcontext():
            beside = _consumer_beside() if with_consumer else None
        with listen.bind(settings.api_host, settings.api_port) as listener:
            stop = Stop()
            return _loop(_run(settings, listener, workers or 1, beside, stop), stop)
    except SluiceError as error:
        return _say(str(error))


def run_worker(*, parent: int, listener: int, with_consumer: bool) -> int:
    """Serve the socket `listener` as one of several children of the process `parent`, and end with it."""
    die_with_parent(signal.SIGKILL, parent)
    try:
        settings = load(ApiSettings)
        log.configure(settings.log_level, settings.log_format)
        log.never_wait()
        beside = _consumer_beside() if with_consumer else None
        with socket.socket(fileno=listener) as inherited:
            stop = Stop()
            stop.supervised = True
            return _loop(_serve(settings, inherited, beside, stop), stop)
    except SluiceError as error:
        return _say(str(error))


class Stop(StopOrder):
    """The order to stop. `heard`: signals are handled on the loop by now; `supervised`: a parent hands them on."""

    heard = False
    supervised = False


class Server(uvicorn.Server):
    """uvicorn that ends when `stop` is set, with a status of ours, and that notices when its application has died."""

    def __init__(self, config: uvicorn.Config, stop: Stop) -> None:
        super().__init__(config)
        self._stop = stop
        self.failed = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve. uvicorn would end the process with its own status when the application does not start."""
        try:
            await super().startup(sockets)
        except SystemExit:
            self.failed = self.should_exit = True
        _spare_the_collector()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to end."""
        if counter % 10 == 0:
            end_overdue(self.server_state.connections, asyncio.get_running_loop().time())
        self.failed = self.failed or self.lifespan.error_occurred
        return await super().on_tick(counter) or self._stop.asked.is_set() or self.failed

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals. uvicorn would raise them again at the end, and so exit with 143."""
        on_stops(
            asyncio.get_running_loop(),
            self._ask,
            told_twice=self._stop.begin if self._stop.supervised else None,
        )
        self._stop.heard = True
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the requests, then the application. uvicorn, hurried, would leave the application to be canceled."""
        await super().shutdown(sockets)
        if not self.force_exit:
            return
        self._stop.cut_off = bool(self.server_state.connections or self.server_state.tasks)
        self.failed = self.failed or self._stop.cut_off
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # a request that still reads sees its client leave, and ends
        try:
            async with asyncio.timeout(REQUESTS_END_SECONDS):
                await self.lifespan.shutdown()
        except TimeoutError:
            self.failed = True

    def _ask(self) -> None:
        """End once the requests have; asked twice, without waiting for them."""
        self._stop.ask()
        self.force_exit = self._stop.forced.is_set()


def _spare_the_collector() -> None:
    """What is there by now stays: looking through it for garbage over and over took a fifth of the time under load."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _loop(main: Coroutine[Any, Any, int], stop: Stop) -> int:
    def stray(stopped: BaseException) -> None:
        log.logger().error("step.failed", step="loop", reason=f"a stray task: {stopped!r}")

    set_forks_apart(STOPS)
    status = runner.run(main, loop_factory=uvloop.new_event_loop, ours=lambda: stop.heard, stray=stray)
    return runner.leave(status, finish=log.finish)


async def _run(
    settings: ApiSettings, listener: socket.socket, workers: int, beside: Beside | None, stop: Stop
) -> int:
    if not await _check_unless(stop, settings):
        return 0
    log.logger().info("api.listening", url=listen.url(listener))
    if workers == 1:
        return await _serve(settings, listener, beside, stop)
    arguments = ["--listener", str(listener.fileno()), *([] if beside is None else ["--with-consumer"])]
    return await supervise(workers, "sluice.api", arguments, pass_fds=[listener.fileno()])


async def _serve(settings: ApiSettings, listener: socket.socket, beside: Beside | None, stop: Stop) -> int:
    config = uvicorn.Config(
        create_app(settings, beside=beside, stop=stop),
        loop="none",
        http=Connection,
        ws="none",
        lifespan="on",
        workers=1,
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=listen.BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=REQUESTS_END_SECONDS,
    )
    server = Server(config, stop)
    await server.serve(sockets=[listener])
    return 1 if server.failed else 0


async def _check_unless(stop: Stop, settings: ApiSettings) -> bool:
    """Check the stores before serving; False when a signal came first."""
    on_stops(asyncio.get_running_loop(), stop.ask)
    return await unless(stop.asked, check_stores(settings, Reporter(settings.log_level)))


def _consumer_beside() -> Beside:
    module, _, name = CONSUMER.partition(":")
    beside: Beside = getattr(import_module(module), name)()
    return beside


def _say(what: str) -> int:
    log.say(f"sluice api: {what}")
    return 1
