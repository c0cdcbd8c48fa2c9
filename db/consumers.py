"""The consumers' rows: register, beat, name a suspect, unregister, and the kinds they serve. Judges nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluice.core.audience import Signature

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from sluice.core.task import ConsumerId, JsonText, Kind, QueueName, RunKey
    from sluice.db.session import Database


@dataclass(frozen=True, slots=True)
class Registration:
    """What a consumer says of itself once."""

    host: str
    pid: int
    queues: Sequence[QueueName]
    kinds: Sequence[Kind]
    capacity: int
    lease: timedelta

    @property
    def signature(self) -> Signature:
        """What it serves, as hints are addressed by it."""
        return Signature.of(self.queues, self.kinds)


@dataclass(frozen=True, slots=True)
class ServedKind:
    """One kind with its payload's JSON schema and its own settings; None: the default, any object."""

    kind: Kind
    schema: JsonText | None
    max_attempts: int | None
    timeout: float | None


class Consumers:
    """The tables `consumers` and `kinds`, as consumers change them. One round trip each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, consumer: ConsumerId, facts: Registration) -> None:
        """The first beat (L1 rows). May be repeated as it stands."""
        await self._database.count(
            "register",
            id=consumer,
            host=facts.host,
            pid=facts.pid,
            queues=list(facts.queues),
            kinds=list(facts.kinds),
            signature=facts.signature.name,
            capacity=facts.capacity,
            lease=facts.lease.total_seconds(),
        )

    async def beat(self, consumer: ConsumerId, running: int) -> bool:
        """Stay alive for another lease; False when this id has been declared dead."""
        return await self._database.count("beat", id=consumer, running=running) > 0

    async def name_suspect(self, consumer: ConsumerId, run: RunKey) -> bool:
        """Say which run is about to begin of a task that one more crash would poison (U2 reap); False as for `beat`."""
        task_id, token = run
        values = {"id": consumer, "suspect_id": task_id, "suspect_token": token}
        return await self._database.count("name_suspect", **values) > 0

    async def unregister(self, consumer: ConsumerId) -> None:
        """Take the row away: the last thing that a consumer does."""
        await self._database.count("unregister", id=consumer)

    async def register_kinds(self, served: Sequence[ServedKind]) -> None:
        """Tell the API what can be submitted. Writes nothing where nothing changed."""
        await self._database.count(
            "register_kinds",
            kinds=[kind.kind for kind in served],
            schemas=[kind.schema for kind in served],
            max_attempts=[kind.max_attempts for kind in served],
            timeouts=[kind.timeout for kind in served],
        )

    async def signatures(self) -> dict[str, int]:
        """The names of what live consumers serve, and how many serve the same."""
        return {row.signature: row.consumers for row in await self._database.rows("signatures")}

    async def signature_members(self, names: Sequence[str]) -> list[Signature]:
        """What stands behind these names, while a consumer that has one is alive."""
        rows = await self._database.rows("signature_members", names=list(names))
        return [Signature(row.signature, frozenset(row.queues), frozenset(row.kinds)) for row in rows]
