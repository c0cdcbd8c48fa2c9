"""sluice.db.consumers.Consumers on SimStore's tables, statement by statement. Adds no rule to those of db/sql."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from sluice.core.audience import Signature
from sluice.core.task import ConsumerId, RunKey
from sluice.db.consumers import Registration, ServedKind
from tests.simulation.store_claims import refuse_other_than_json
from tests.simulation.store_tables import ConsumerRow, KindRow, Tables


class SimConsumers:
    """See db.consumers.Consumers."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def register(self, consumer: ConsumerId, facts: Registration) -> None:
        now = self._tables.now()
        row = ConsumerRow(
            id=consumer,
            host=facts.host,
            pid=facts.pid,
            queues=list(facts.queues),
            kinds=list(facts.kinds),
            signature=facts.signature.name,
            capacity=facts.capacity,
            lease_seconds=facts.lease.total_seconds(),
            started_at=now,
            beat_at=now,
            expires_at=now + facts.lease,
        )
        self._tables.consumers.setdefault(consumer, row)

    async def beat(self, consumer: ConsumerId, running: int) -> bool:
        tables = self._tables
        row = tables.consumers.get(consumer)
        if row is None or (row.declared_dead and not tables.broken.beat_unfenced):
            return False
        row.beat_at, row.running = tables.now(), running
        row.expires_at = tables.now() + timedelta(seconds=row.lease_seconds)
        return True

    async def name_suspect(self, consumer: ConsumerId, run: RunKey) -> bool:
        if self._tables.judged(consumer):
            return False
        row = self._tables.consumers[consumer]
        row.suspect_id, row.suspect_token = run
        return True

    async def unregister(self, consumer: ConsumerId) -> None:
        self._tables.consumers.pop(consumer, None)

    async def register_kinds(self, served: Sequence[ServedKind]) -> None:
        tables = self._tables
        for kind in served:
            if kind.schema is not None:
                refuse_other_than_json(kind.schema)
        for kind in served:
            row = tables.kinds.get(kind.kind)
            values = (kind.schema, kind.max_attempts, kind.timeout)
            if row is None or (row.payload_schema, row.max_attempts, row.timeout) != values:
                tables.kinds[kind.kind] = KindRow(kind.kind, *values, tables.now())

    async def signatures(self) -> dict[str, int]:
        return dict(Counter(each.name for each in self._live()))

    async def signature_members(self, names: Sequence[str]) -> list[Signature]:
        return list({each.name: each for each in self._live() if each.name in names}.values())

    def _live(self) -> list[Signature]:
        tables = self._tables
        return [
            Signature.of(row.queues, row.kinds) for row in tables.consumers.values() if tables.alive(row.id)
        ]
