"""Both servers as one context: started in order, stopped in reverse. Restarts nothing by itself."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType

from sluice.cli.embedded.leftovers import Say
from sluice.cli.embedded.place import Place
from sluice.cli.embedded.postgres import Postgres
from sluice.cli.embedded.server import Server
from sluice.cli.embedded.valkey import Valkey
from sluice.cli.supervise.lock import hold
from sluice.core.errors import ConfigurationError

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Urls:
    """How to reach the servers, as core/settings.py takes it. Empty for one that was not asked for."""

    database_url: str
    redis_url: str


class Servers:
    """`async with Servers(root) as urls:` runs PostgreSQL and Valkey on data under `root/.sluice`.

    `ephemeral` starts on nothing and forgets everything; fsync stays on. One holder per root: Held names it (`locked`
    says that the caller holds the lock already). `say` takes lines for the user when something takes long. Enter it
    on the main thread.
    """

    def __init__(
        self,
        root: Path,
        *,
        ephemeral: bool = False,
        postgres: bool = True,
        valkey: bool = True,
        postgres_settings: Mapping[str, str] = NOTHING,
        locked: bool = False,
        say: Say = lambda _: None,
    ) -> None:
        self._root = root
        self._ephemeral = ephemeral
        self._wants = (postgres, valkey)
        self._settings = postgres_settings
        self._locked = locked
        self._say = say
        self._stack = AsyncExitStack()
        self._postgres: Postgres | None = None
        self._valkey: Valkey | None = None
        self.data: Path | None = None

    async def __aenter__(self) -> Urls:
        try:
            return await self._enter()
        except (
            OSError
        ) as refused:  # a file of another user, a full disk: nothing that a traceback explains better
            what = f"{refused.filename}: {refused.strerror}" if refused.filename else str(refused)
            raise ConfigurationError(f"the embedded servers cannot be started: {what}") from refused

    async def _enter(self) -> Urls:
        async with AsyncExitStack() as stack:
            place = Place.under(self._root)
            if not self._locked:
                stack.enter_context(hold(place.home))
            self.data = self._base(place, stack)
            place.open_sockets()
            stack.callback(place.close_sockets)
            wants_postgres, wants_valkey = self._wants
            if wants_postgres:
                self._postgres = Postgres(place, base=self.data, settings=self._settings, say=self._say)
            if wants_valkey:
                self._valkey = Valkey(place, base=self.data, say=self._say)
            for server in self.running:
                stack.push_async_callback(server.stop)
                await server.start()
            self._stack = stack.pop_all()
        return Urls(
            database_url=self._postgres.url if self._postgres else "",
            redis_url=self._valkey.url if self._valkey else "",
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @property
    def running(self) -> tuple[Server, ...]:
        """The servers that were asked for, in the order in which they start."""
        return tuple(server for server in (self._postgres, self._valkey) if server is not None)

    @property
    def postgres(self) -> Postgres:
        """The PostgreSQL that was asked for."""
        if self._postgres is None:
            raise RuntimeError("PostgreSQL was not asked for, or not yet started")
        return self._postgres

    @property
    def valkey(self) -> Valkey:
        """The Valkey that was asked for."""
        if self._valkey is None:
            raise RuntimeError("Valkey was not asked for, or not yet started")
        return self._valkey

    def _base(self, place: Place, stack: AsyncExitStack) -> Path:
        if not self._ephemeral:
            return place.data
        base = place.data / "ephemeral"
        shutil.rmtree(base, ignore_errors=True)  # of a run that was killed
        base.mkdir(mode=0o711)
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        return base
