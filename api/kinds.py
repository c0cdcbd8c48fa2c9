"""Which kinds may be submitted, with what payload: a cache of what consumers registered. Registers nothing.

A submission that the cache allows costs no look at the database; before one is refused, the kinds are read again (A2).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import jsonschema_rs

from api.patience import Patience
from api.strict_json import MOST_FLAWS
from core.errors import Flaw, PayloadRefused, StoreUnavailable, UnknownKind
from core.events import StepFailed

if TYPE_CHECKING:
    from core.events import Report
    from core.task import Kind
    from db.browse import Served

FRESH_SECONDS = 2.0
"""How old the cache gets while submissions come."""
FRESH_WHILE_EMPTY_SECONDS = 0.05
"""Until a first consumer has registered every kind is taken, so that one who just did must be noticed soon."""
REST_SECONDS = 0.5
"""How long the refresh rests when PostgreSQL is away."""
PAUSE_SECONDS = 0.05
LOOK = timedelta(seconds=1.2)
"""How long a submission may wait for a look: its 503 is out within two seconds."""
MOST_NEAREST = 3
_MASK = "the value"


class ReadsKinds(Protocol):
    """What is needed of the store."""

    async def kinds(self) -> Mapping[Kind, Served]: ...


@dataclass(frozen=True, slots=True)
class _Known:
    served: Served
    validator: jsonschema_rs.Validator | None

    def takes(self, payload: Mapping[str, Any]) -> bool:
        return self.validator is None or self.validator.is_valid(payload)

    def flaws(self, payload: Mapping[str, Any]) -> list[Flaw]:
        """What does not fit. The messages are masked: they repeat no value."""
        if self.validator is None:
            return []
        found = islice(self.validator.iter_errors(payload), MOST_FLAWS)
        return [Flaw(tuple(error.instance_path), error.message) for error in found]


class Kinds:
    """The cache of one process. Keep `run` running: it reads the kinds while submissions come."""

    def __init__(self, store: ReadsKinds, *, refuse_unknown: bool, report: Report) -> None:
        self._store = store
        self._refuse_unknown = refuse_unknown
        self._report = report
        self._known: dict[Kind, _Known] = {}
        self._patience = Patience(LOOK)
        self._read_at = -math.inf
        self._reading = asyncio.Lock()
        self._bell = asyncio.Event()
        self._closing = asyncio.Event()

    async def check(self, kind: Kind, payload: Mapping[str, Any], *, asked: float) -> Served | None:
        """What is registered about `kind`, None when it is not and need not be. `asked`: the request's loop time.

        Raises UnknownKind and PayloadRefused, never by a cache older than `asked`; StoreUnavailable when it would
        have to look and cannot.
        """
        if asked - self._read_at > FRESH_SECONDS:
            self._bell.set()
        known = self._known.get(kind)
        if known is not None and known.takes(payload):
            return known.served
        if known is None and not self._must_be_known(asked):
            return None
        await self._patience(self._read_at_last(since=asked))
        known = self._known.get(kind)
        if known is None:
            if self._known and self._refuse_unknown:
                raise UnknownKind(kind, get_close_matches(kind, self._known, MOST_NEAREST))
            return None
        if flaws := known.flaws(payload):
            raise PayloadRefused(kind, flaws)
        return known.served

    def _must_be_known(self, asked: float) -> bool:
        if not self._refuse_unknown:
            return False
        return bool(self._known) or asked - self._read_at > FRESH_WHILE_EMPTY_SECONDS

    async def run(self) -> None:
        """Read the kinds when somebody met an old cache, until closed. PostgreSQL away: the old ones go on."""
        while not self._closing.is_set():
            self._bell.clear()
            try:
                await self._read(since=asyncio.get_running_loop().time() - FRESH_SECONDS)
            except StoreUnavailable:
                await self._rest()
            except Exception as error:  # noqa: BLE001 - reported, and the old kinds go on: this task ends the process
                self._report(StepFailed("read kinds", reason=repr(error)))
                await self._rest()
            await self._bell.wait()

    def close(self) -> None:
        """Let `run` end."""
        self._closing.set()
        self._bell.set()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(REST_SECONDS):
                await self._closing.wait()
        except TimeoutError:
            return

    async def _read_at_last(self, *, since: float) -> None:
        """The same through a short absence of PostgreSQL."""
        while True:
            try:
                return await self._read(since=since)
            except StoreUnavailable:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self, *, since: float) -> None:
        """Have a reading that began at `since` or later; those who wait share one."""
        async with self._reading:
            if self._read_at >= since:
                return
            began = asyncio.get_running_loop().time()
            found = await self._store.kinds()
            self._known = {kind: self._compiled(kind, served) for kind, served in found.items()}
            self._read_at = began

    def _compiled(self, kind: Kind, served: Served) -> _Known:
        """A schema that is there already stays compiled; one that is no JSON schema lets every payload pass."""
        before = self._known.get(kind)
        if before is not None and before.served.schema == served.schema:
            return _Known(served, before.validator)
        try:
            validator = served.schema and jsonschema_rs.validator_for(served.schema, mask=_MASK, offline=True)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            self._report(
                StepFailed("read kinds", reason=f"the schema of {kind} is none: {type(error).__name__}")
            )
            validator = None
        return _Known(served, validator or None)
