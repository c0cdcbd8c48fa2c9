"""One look at everything: what takes too long or goes wrong in it is told, and is no more than it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from sluice.api.depths import Counted
from sluice.api.health import COUNTING, FRESH_SECONDS, Health
from sluice.core.audience import Signature
from sluice.core.errors import ConfigurationError, StoreUnavailable
from sluice.core.ids import new_consumer_id
from sluice.core.task import Kind, QueueName
from sluice.db.browse import Depth, LiveConsumer
from sluice.db.roster import Roster
from tests.unit.support import now, virtual

AT = datetime(2026, 11, 30, tzinfo=UTC)
MAIL, IDLE, NEW = QueueName("mail"), QueueName("idle"), QueueName("new")
ALIVE = LiveConsumer(new_consumer_id(), "host", 1, [MAIL, IDLE], ["echo"], 0, 0, 100, AT)
SERVING = Signature.of([MAIL, IDLE], [Kind("echo")])
UNSERVED = (
    "tasks of kind gone wait in queue mail and no live consumer of that queue has the kind: "
    "start one whose HANDLERS has it"
)


class Rows:
    """The rows; `depths` and `queues` do what `trouble` says."""

    def __init__(self) -> None:
        self.there = [MAIL]
        self.trouble: dict[str, str] = {}
        self.broken: Exception | None = None
        self.looks = 0

    async def consumers(self) -> Sequence[LiveConsumer]:
        self.looks += 1
        if self.broken is not None:
            raise self.broken
        return [ALIVE]

    async def queues(self, *_: str | int) -> list[QueueName]:
        await self._do("queues")
        return self.there

    async def depths(self, queues: Sequence[QueueName]) -> dict[QueueName, Depth]:
        await self._do("depths")
        return {name: Depth(7, AT) for name in queues}

    async def waiting_kinds(self, *_: object) -> list[tuple[QueueName, Kind]]:
        await self._do("waiting_kinds")
        return [(MAIL, Kind("echo")), (MAIL, Kind("gone"))]

    async def signatures(self) -> dict[str, int]:
        return {SERVING.name: 1}

    async def signature_members(self, _: Sequence[str]) -> list[Signature]:
        return [SERVING]

    async def _do(self, verb: str) -> None:
        match self.trouble.get(verb):
            case "hangs":
                await asyncio.sleep(3600)
            case "is deaf":
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    await asyncio.sleep(60)
                    raise
            case "is away":
                raise StoreUnavailable("PostgreSQL", "away")
            case "is of another database":
                raise ConfigurationError("the encoding is another one")
            case _:
                return


def health(rows: Rows, fault: Exception | None = None) -> Health:
    async def check_schema() -> None:
        if fault is not None:
            raise fault

    return Health(rows, None, None, roster=Roster(rows), check_schema=check_schema, stopping=lambda: False)


@pytest.mark.parametrize("verb", ["queues", "depths", "waiting_kinds"])
@pytest.mark.parametrize("trouble", ["hangs", "is deaf", "is away", "is of another database"])
def test_a_count_that_takes_too_long_is_no_outage_and_shows_what_was_counted_before(
    verb: str, trouble: str
) -> None:
    @virtual
    async def scene() -> None:
        rows = Rows()
        looking = health(rows)
        before = await looking.report()
        assert before.warnings == [UNSERVED]
        assert before.queues == {IDLE: Counted(7, AT), MAIL: Counted(7, AT)}

        rows.there, rows.trouble = [MAIL, NEW], {verb: trouble}
        for _ in range(3):
            await asyncio.sleep(2 * FRESH_SECONDS)
            began = now()
            found = await looking.report()
            assert now() - began <= COUNTING.total_seconds() + 0.01
            assert (found.status, found.database, found.reasons) == ("healthy", "up", [])
            assert found.consumers == [ALIVE]
            assert UNSERVED in found.warnings
            assert {name: found.queues[name] for name in before.queues} == before.queues

        rows.trouble = {}
        await asyncio.sleep(2 * FRESH_SECONDS)
        assert (await looking.report()).queues == {name: Counted(7, AT) for name in (IDLE, MAIL, NEW)}

    scene()


@virtual
async def test_a_first_count_that_takes_too_long_shows_the_served_queues_without_one() -> None:
    rows = Rows()
    rows.trouble = {"queues": "hangs"}

    found = await health(rows).report()

    assert (found.status, found.queues) == ("healthy", {IDLE: Counted(None, None), MAIL: Counted(None, None)})


@virtual
async def test_a_database_that_cannot_be_used_is_named_with_what_mends_it() -> None:
    rows = Rows()
    rows.broken = ConfigurationError("the encoding is another one")

    found = await health(rows, rows.broken).report()

    assert (found.status, found.database) == ("unhealthy", "down")
    assert found.reasons == ["the encoding is another one"]


@virtual
async def test_a_look_that_was_begun_before_is_shared_while_it_lasts_and_shown_to_nobody_later() -> None:
    rows = Rows()
    rows.trouble = {"depths": "hangs"}
    looking = health(rows)

    begun = looking.begin()
    assert await looking.report() is begun.result()
    assert rows.looks == 1
    rows.trouble = {}
    found = await looking.report()
    assert found is not begun.result()
    assert found.queues[MAIL] == Counted(7, AT)
    assert await looking.report() is found
    assert rows.looks == 2
