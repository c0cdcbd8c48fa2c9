"""Who is alive, as of the last look: signatures are fetched once, and a look that fails leaves what there was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.exc import InvalidRequestError

from sluice.core.audience import Signature
from sluice.core.errors import ConfigurationError, StoreUnavailable
from sluice.core.events import StepFailed
from sluice.core.task import DEFAULT_QUEUE, Kind
from sluice.db.roster import PERIOD, Roster
from tests.unit.support import Events, settled, virtual

ECHO, MAIL, PRINT = Kind("echo"), Kind("mail"), Kind("print")
SECONDS = PERIOD.total_seconds()


def serving(*kinds: Kind) -> Signature:
    return Signature.of([DEFAULT_QUEUE], kinds)


class Rows:
    """The consumers' rows: how many serve what."""

    def __init__(self, *alive: Signature) -> None:
        self.alive = list(alive)
        self.looks = 0
        self.asked: list[list[str]] = []
        self.vanished = False
        self.broken: Exception | None = None

    async def signatures(self) -> dict[str, int]:
        self.looks += 1
        if self.broken is not None:
            raise self.broken
        return {each.name: self.alive.count(each) for each in self.alive}

    async def signature_members(self, names: Sequence[str]) -> list[Signature]:
        self.asked.append(sorted(names))
        return [] if self.vanished else [each for each in {*self.alive} if each.name in names]


class Scene:
    def __init__(self, *alive: Signature) -> None:
        self.rows = Rows(*alive)
        self.roster = Roster(self.rows)

    def hears(self, kind: Kind) -> bool:
        """Whether a hint of this kind has somewhere to go."""
        return self.roster.audiences.list_of(DEFAULT_QUEUE, kind, 5) is not None


@virtual
async def test_what_stands_behind_a_signature_is_fetched_once() -> None:
    scene = Scene(serving(ECHO), serving(ECHO), serving(MAIL))
    for _ in range(3):
        assert await scene.roster.step() == PERIOD
    assert scene.rows.asked == [sorted([serving(ECHO).name, serving(MAIL).name])]
    assert scene.roster.consumers == 3

    scene.rows.alive.append(serving(PRINT))
    for _ in range(3):
        await scene.roster.step()
    assert scene.rows.asked[1:] == [[serving(PRINT).name]]
    assert all(map(scene.hears, (ECHO, MAIL, PRINT)))


@virtual
async def test_a_consumer_that_goes_between_the_two_statements_is_asked_for_again() -> None:
    scene = Scene(serving(ECHO))
    scene.rows.vanished = True
    await scene.roster.step()
    assert not scene.hears(ECHO)

    scene.rows.vanished = False
    await scene.roster.step()
    assert scene.hears(ECHO)


@virtual
async def test_audiences_are_others_when_somebody_comes_or_goes_and_never_otherwise() -> None:
    scene = Scene()
    told = []
    for alive in (
        [],
        [serving(ECHO)],
        [serving(ECHO)],
        [serving(ECHO), serving(ECHO)],
        [serving(ECHO), serving(MAIL)],
        [serving(MAIL)],
        [serving(MAIL)],
        [],
        [],
    ):
        scene.rows.alive = alive
        before = scene.roster.audiences
        await scene.roster.step()
        told.append(scene.roster.audiences is not before)
    assert told == [False, True, False, False, True, True, False, True, False]
    assert not scene.hears(ECHO)
    assert not scene.hears(MAIL)


@virtual
async def test_who_is_included_has_an_audience_whatever_a_look_sees() -> None:
    scene = Scene()
    before = scene.roster.audiences
    scene.roster.include(serving(ECHO, MAIL))
    assert scene.roster.audiences is not before
    assert scene.hears(MAIL)

    await scene.roster.step()
    scene.rows.alive = [serving(ECHO)]
    await scene.roster.step()
    scene.rows.alive = []
    await scene.roster.step()
    assert scene.hears(MAIL)
    assert scene.roster.consumers == 0


@asynccontextmanager
async def _running(scene: Scene, events: Events) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(scene.roster.run(events))
        await settled()
        yield
        running.cancel()


@virtual
async def test_the_last_look_is_kept_during_an_outage() -> None:
    scene, events = Scene(serving(ECHO)), Events()
    async with _running(scene, events):
        scene.rows.broken = StoreUnavailable("PostgreSQL", "away")
        scene.rows.alive = [serving(MAIL)]
        await asyncio.sleep(3 * SECONDS)
        assert scene.rows.looks == 4
        assert scene.hears(ECHO)

        scene.rows.broken = None
        await asyncio.sleep(SECONDS)
        assert (scene.hears(ECHO), scene.hears(MAIL)) == (False, True)
    assert events.all == []


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("the database's encoding is another one after a failover"),
        InvalidRequestError("This connection is closed"),
        RuntimeError("nobody expected this"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_else_goes_wrong_is_reported_and_the_next_look_is_made(error: Exception) -> None:
    @virtual
    async def scene() -> None:
        scene, events = Scene(serving(ECHO)), Events()
        async with _running(scene, events):
            scene.rows.broken = error
            await asyncio.sleep(2 * SECONDS)
            assert scene.hears(ECHO)
            assert [event.reason for event in events.of(StepFailed)] == [repr(error)] * 2

            scene.rows.broken, scene.rows.alive = None, [serving(MAIL)]
            await asyncio.sleep(SECONDS)
            assert scene.hears(MAIL)

    scene()
