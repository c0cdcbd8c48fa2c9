"""Which kinds may be submitted, with what payload: a cache of what consumers registered. Registers nothing.

A submission that a fresh cache allows costs no look at the database, and no wait while others come. One that finds an
old cache waits for a reading; before one is refused, the kinds are read again (A2 kinds).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import jsonschema_rs

from sluice.api.problems.errors import MOST_FLAWS
from sluice.api.timeout import Timeout
from sluice.core.errors import Flaw, PayloadRefused, StoreUnavailable, UnknownKind
from sluice.core.events import StepFailed
from sluice.core.waiting import is_set

if TYPE_CHECKING:
    from sluice.core.events import Report
    from sluice.core.task import Kind
    from sluice.db.browse import Served

FRESH_SECONDS = 2.0
"""An older cache decides nothing while PostgreSQL answers."""
AGING_SECONDS = 1.5
"""From this age on it is read behind the submissions, so that none has to wait while they come."""
FRESH_FOR_UNKNOWN_SECONDS = 0.05
"""Where an unknown kind is taken, a consumer that has just registered it must be noticed soon."""
WAIT_SECONDS = 0.5
"""How long a submission waits for a reading that it can do without: its 503 is still out within two seconds."""
REST_SECONDS = 0.5
"""How long the refresh rests when PostgreSQL is away; nobody waits for it meanwhile."""
PAUSE_SECONDS = 0.05
LOOK = timedelta(seconds=1.2)
"""How long a submission may wait for a look: its 503 is out within two seconds."""
MOST_NEAREST = 3
LONGEST_DETAIL = 500
"""Characters: of properties that the schema does not know one message names every one."""
MOST_VALUES = 5_000
"""A payload with more of them is told its first flaw alone: the validator makes them all before it hands out one, and a
million take ten seconds and two gigabytes."""
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
        found: Iterable[jsonschema_rs.ValidationError] = ()
        if _holds_more_than(MOST_VALUES, payload):
            try:
                self.validator.validate(payload)
            except jsonschema_rs.ValidationError as first:
                found = (first,)
        else:
            found = islice(self.validator.iter_errors(payload), MOST_FLAWS)
        return [Flaw(tuple(error.instance_path), error.message[:LONGEST_DETAIL]) for error in found]


class Kinds:
    """The cache of one process. Keep `run` running: it reads the kinds while submissions come."""

    def __init__(self, store: ReadsKinds, *, refuse_unknown: bool, report: Report) -> None:
        self._store = store
        self._refuse_unknown = refuse_unknown
        self._report = report
        self._known: dict[Kind, _Known] = {}
        self._timeout = Timeout(LOOK)
        self._read_at = -math.inf
        self._missed_at = -math.inf
        self._reading = asyncio.Lock()
        self._tried = asyncio.Event()
        self._bell = asyncio.Event()
        self._closing = asyncio.Event()

    async def check(self, kind: Kind, payload: Mapping[str, Any], *, asked: float) -> Served | None:
        """What is registered about `kind`, None when it is not and need not be. `asked`: the request's loop time.

        Raises UnknownKind and PayloadRefused, never by a cache older than `asked`; StoreUnavailable when it would
        have to look and cannot. What is known already goes on while PostgreSQL is away.
        """
        if asked - self._read_at > AGING_SECONDS:
            self._bell.set()
        if kind in self._known and asked - self._read_at > FRESH_SECONDS:
            await self._next_try(asked)
        known = self._known.get(kind)
        if known is not None and known.takes(payload):
            return known.served
        if known is None and not self._must_look(asked):
            return None
        await self._timeout(self._read_at_last(since=asked))
        known = self._known.get(kind)
        if known is None:
            if self._known and self._refuse_unknown:
                raise UnknownKind(kind, get_close_matches(kind, self._known, MOST_NEAREST))
            return None
        if flaws := known.flaws(payload):
            raise PayloadRefused(kind, flaws)
        return known.served

    def _must_look(self, asked: float) -> bool:
        """About a kind that the cache lacks."""
        refused = self._refuse_unknown and bool(self._known)
        return refused or asked - self._read_at > FRESH_FOR_UNKNOWN_SECONDS

    async def run(self) -> None:
        """Read the kinds when somebody met an old cache, until closed. PostgreSQL away: the old ones go on."""
        while not self._closing.is_set():
            self._bell.clear()
            if not await self._try():
                await is_set(self._closing, REST_SECONDS)
            await self._bell.wait()

    def close(self) -> None:
        """Let `run` end."""
        self._closing.set()
        self._bell.set()

    async def _try(self) -> bool:
        """Read an aging cache again; whether that went well. Those who wait for it go on either way."""
        try:
            await self._read(since=_now() - AGING_SECONDS)
            return True
        except StoreUnavailable:
            self._missed_at = _now()
        except Exception as error:  # noqa: BLE001 - reported, and the old kinds go on: this task ends the process
            self._report(StepFailed("read kinds", reason=repr(error)))
            self._missed_at = _now()
        finally:
            self._tried.set()
        return False

    async def _next_try(self, asked: float) -> None:
        """Wait for `run` to have tried, for a moment: after a miss the old kinds are good until the next."""
        if asked - self._missed_at < REST_SECONDS:
            return
        self._tried.clear()
        self._bell.set()
        if not await is_set(self._tried, WAIT_SECONDS):
            self._missed_at = _now()

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
            began = _now()
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


def _holds_more_than(n: int, payload: object) -> bool:
    """Whether so many values are in it, at any depth. Looks at no more of them than that."""
    seen, waiting = 0, [payload]
    while waiting and seen <= n:
        value = waiting.pop()
        within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        seen += len(within)
        waiting += islice(within, n)
    return seen > n


def _now() -> float:
    return asyncio.get_running_loop().time()
