"""`sluice up`: servers, migrations, the API and a consumer under this process. Serves no request itself.

Started senders last, stopped senders first: the API and the consumer drain while PostgreSQL and Valkey still serve.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass

from sluice.cli import stores, welcome
from sluice.cli.address import reachable
from sluice.cli.embedded import Servers, Urls
from sluice.cli.embedded.place import make_home
from sluice.cli.supervise.keep import Part, keep
from sluice.cli.supervise.listen import check_address
from sluice.cli.supervise.lock import hold
from sluice.cli.supervise.output import Output
from sluice.cli.supervise.program import Program
from sluice.cli.supervise.signals import Stopping
from sluice.core.clock import boottime
from sluice.core.errors import SluiceError
from sluice.core.ids import new_consumer_id
from sluice.core.process.command_line import here
from sluice.core.settings import ApiSettings, ConsumerSettings, UpSettings, environment, load

BEYOND_DRAIN = 10.0  # seconds a program may take longer than DRAIN_SECONDS before it is killed
COMPLAINT = "sluice consumer: "  # how a line begins with which a consumer says why it cannot run
UNUSED = "postgresql://"  # stands for the embedded server while settings are only checked


def run(
    *,
    ephemeral: bool = False,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
    reload: bool = False,
) -> int:
    """Run everything until Ctrl-C or SIGTERM; the exit status. Raises SluiceError with a line that says what to do."""
    options = Options.read(ephemeral=ephemeral, host=host, port=port, workers=workers, reload=reload)
    return asyncio.run(up(options))


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for, checked before anything runs. An empty URL means embedded, for Redis None means none."""

    ephemeral: bool
    host: str
    port: int
    workers: int
    database_url: str
    schema: str
    redis_url: str | None
    drain_seconds: float
    log_format: str | None
    reload: bool

    @classmethod
    def read(
        cls, *, ephemeral: bool, host: str | None, port: int | None, workers: int | None, reload: bool
    ) -> Options:
        """From the command line and the environment, including what only the children use."""
        named = load(UpSettings)
        database_url = named.database_url.get_secret_value()
        redis_url = "" if named.redis_url is None else named.redis_url.get_secret_value() or None
        urls = {"database_url": database_url or UNUSED, "redis_url": redis_url or ""}
        api = load(ApiSettings, api_host=host, api_port=port, **urls)
        consumer = load(ConsumerSettings, **urls)
        return cls(
            ephemeral=ephemeral,
            host=api.api_host,
            port=api.api_port,
            workers=workers or 1,
            database_url=database_url,
            schema=api.sluice_schema,
            redis_url=redis_url,
            drain_seconds=consumer.drain_seconds,
            log_format=named.log_format,
            reload=reload,
        )


async def up(options: Options) -> int:
    """Run everything until a signal; 0 when all of it stopped cleanly, 1 when it was ended by force."""
    programs = Programs(options)
    with Stopping(programs) as stopping:
        try:
            await programs.run()
        except asyncio.CancelledError:
            if not stopping.asked:
                raise
    return 1 if stopping.forced else 0


class Programs:
    """Everything that `sluice up` runs."""

    def __init__(self, options: Options) -> None:
        self.output = Output(("api", "consumer"))
        self.drain_seconds = options.drain_seconds
        self._options = options
        self._began = boottime()
        self._root = here()
        self._servers: Servers | None = None
        self._programs: tuple[Program, ...] = ()
        self._first = new_consumer_id()
        self._ready = False
        self.stopping = False

    async def run(self) -> None:
        """Start all of it, keep it running until canceled, stop all of it."""
        async with AsyncExitStack() as stack:
            try:
                await self._live(stack)
            finally:
                self.stopping = True

    async def _live(self, stack: AsyncExitStack) -> None:
        stack.enter_context(hold(make_home(self._root)))
        port = check_address(self._options.host, self._options.port)
        urls = await self._enter_servers(stack)
        await self._migrate(urls)
        self.output.say("starting the API and a consumer")
        self._programs = self._plan(urls, port)
        stack.push_async_callback(self._stop_programs)
        for program in self._programs:
            await program.start()
        try:
            async with asyncio.TaskGroup() as group:
                for part in self._parts():
                    group.create_task(keep(part, settled=self._settled(part), say=self.output.say))
                group.create_task(self._announce(urls, port))
        except ExceptionGroup as failures:  # not except*: some Pythons wrap again what is raised there
            told = failures.subgroup(SluiceError)
            if told is None or len(told.exceptions) < len(failures.exceptions):
                raise
            raise told.exceptions[0] from None

    def end(self, *, now: bool = False) -> None:
        """Ask the programs once more to end, or (`now`) end them and the servers, without waiting."""
        for program in self._programs:
            program.end(now=now)
        if now and self._servers is not None:
            for server in self._servers.running:
                server.end(now=True)

    def _parts(self) -> tuple[Part, ...]:
        servers = self._servers.running if self._servers is not None else ()
        return (*servers, *self._programs)

    def _settled(self, part: Part) -> Callable[[], bool]:
        """Return what `keep` asks. A consumer is never given up: its modules are mended while the rest serves."""
        return lambda: self._ready or part is self._programs[1]

    async def _enter_servers(self, stack: AsyncExitStack) -> Urls:
        options = self._options
        named = Urls(database_url=options.database_url, redis_url=options.redis_url or "")
        wants_postgres, wants_valkey = not options.database_url, options.redis_url == ""
        if not wants_postgres and not wants_valkey:
            return named
        names = [
            name for name, wanted in (("PostgreSQL", wants_postgres), ("Valkey", wants_valkey)) if wanted
        ]
        self.output.say(f"starting {' and '.join(names)}")
        self._servers = Servers(
            self._root,
            ephemeral=options.ephemeral,
            postgres=wants_postgres,
            valkey=wants_valkey,
            locked=True,
            say=self.output.say,
        )
        embedded = await stack.enter_async_context(self._servers)
        return Urls(
            database_url=embedded.database_url or named.database_url,
            redis_url=embedded.redis_url or named.redis_url,
        )

    async def _migrate(self, urls: Urls) -> None:
        from sluice.cli.migrate import upgrade

        if named := self._options.database_url:
            self.output.say(stores.using(named))
        with stores.or_embedded() if named else nullcontext():
            await upgrade(urls.database_url, schema=self._options.schema, say=self.output.say)

    def _plan(self, urls: Urls, port: int) -> tuple[Program, ...]:
        options = self._options
        settings = environment(
            DATABASE_URL=urls.database_url,
            REDIS_URL=urls.redis_url,
            API_HOST=options.host,
            API_PORT=str(port),
            PYTHONUNBUFFERED="1",  # what a handler prints is shown at once
        )
        if options.log_format is None and self.output.on_terminal:
            settings["LOG_FORMAT"] = "console"  # they write to a pipe, a person reads it
        return (
            Program(
                "sluice.api", ("--workers", str(options.workers)), environment=settings, output=self.output
            ),
            Program(
                "sluice.consumer",
                ("--reload",) if options.reload else (),
                environment=settings,
                output=self.output,
            ),
        )

    async def _announce(self, urls: Urls, port: int) -> None:
        _, consumer = self._programs
        consumes = await welcome.until_ready(
            reachable(self._options.host),
            port,
            after=self._first,
            complains=lambda: consumer.last_words().startswith(COMPLAINT),
        )
        self._ready = True
        options = self._options
        servers = None if options.database_url else self._servers  # what Valkey holds is nothing to keep
        welcome.show(
            url=f"http://{reachable(options.host)}:{port}",
            data=None if servers is None else servers.data,
            kept=not options.ephemeral,
            named=stores.named(database_url=options.database_url, redis_url=options.redis_url or ""),
            embedded=Urls(
                database_url="" if options.database_url else urls.database_url,
                redis_url=urls.redis_url if options.redis_url == "" else "",
            ),
            seconds=boottime() - self._began,
            consumer=consumes,
        )

    async def _stop_programs(self) -> None:
        stop_timeout = self.drain_seconds + BEYOND_DRAIN
        async with asyncio.TaskGroup() as group:
            for program in self._programs:
                group.create_task(program.stop(stop_timeout=stop_timeout))
