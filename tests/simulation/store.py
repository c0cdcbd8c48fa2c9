"""SimStore: PostgreSQL as consumers and the API see it, in memory, on an injected clock. Each statement is atomic.

The conformance suite holds it to the real one. It injects no fault: who wants one wraps its methods, or hands
`transaction` a port. `broken` leaves safeguards out, so that a test shows that it would notice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

from tests.simulation.broken import INTACT, Broken
from tests.simulation.store_claims import SimClaims
from tests.simulation.store_consumers import SimConsumers
from tests.simulation.store_tables import Tables
from tests.simulation.store_tasks import SimBrowse, SimTasks
from tests.simulation.store_transaction import Port, SimTransaction, straight
from tests.simulation.store_upkeep import SimUpkeep


class SimStore:
    """The stores over one set of tables, named as in consumer/stores.py. `clock` gives seconds."""

    def __init__(
        self, clock: Callable[[], float], *, random: Random | None = None, broken: Broken = INTACT
    ) -> None:
        self.tables = Tables(clock, random or Random(0), broken)
        self.tasks = SimTasks(self.tables)
        self.claims = SimClaims(self.tables)
        self.consumers = SimConsumers(self.tables)
        self.upkeep = SimUpkeep(self.tables)
        self.browse = SimBrowse(self.tables)

    def now(self) -> datetime:
        """The database's time."""
        return self.tables.now()

    @property
    def effects(self) -> list[Any]:
        """What committed transactions wrote, in the order of their commits."""
        return self.tables.effects

    def transaction(self, port: Port = straight) -> SimTransaction:
        """What stands in for consumer.transaction.Transaction. `port` sees "begin", "finish" and "commit"."""
        return SimTransaction(self.tables, port)
