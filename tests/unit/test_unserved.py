"""What nobody alive serves is told once when it begins, and again only after somebody has served it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sluice.core.audience import Audiences, Signature
from sluice.core.errors import StoreUnavailable
from sluice.core.events import Unserved as Told
from sluice.core.task import DEFAULT_QUEUE, Kind, NewTask, QueueName
from sluice.core.unserved import MOST_UNSERVED, Unserved
from sluice.db.publisher import Publisher
from sluice.db.roster import Roster
from sluice.db.tasks import Accepted
from tests.unit.support import Events, task_id, virtual

AT = datetime(2026, 11, 30, tzinfo=UTC)
ECHO, MAIL = Kind("echo"), Kind("mail")
ELSEWHERE = QueueName("elsewhere")
OF_MAIL = Told(DEFAULT_QUEUE, MAIL)


class Scene:
    """A publisher and the roster that it asks; `alive` is what the consumers' rows say."""

    def __init__(self) -> None:
        self.alive: list[Signature] = []
        self.away = False
        self.events = Events()
        self.roster = Roster(self)
        self.publisher = Publisher(None, self.roster, report=self.events)

    async def signatures(self) -> dict[str, int]:
        if self.away:
            raise StoreUnavailable("PostgreSQL", "away")
        return {each.name: 1 for each in self.alive}

    async def signature_members(self, _: Sequence[str]) -> list[Signature]:
        return self.alive

    def submit(self, kind: Kind, queue: QueueName = DEFAULT_QUEUE) -> None:
        new = NewTask(id=task_id(1), kind=kind, queue=queue)
        self.publisher.submitted([new], {new.id: Accepted(AT, AT, due=True)})

    async def looked(self, *kinds: Kind) -> list[object]:
        """What is told at the next look, when a consumer of these kinds is alive."""
        self.alive = [Signature.of([DEFAULT_QUEUE], kinds)] if kinds else []
        told = len(self.events.all)
        await self.roster.look(self.events)
        return list(self.events.all[told:])


@virtual
async def test_it_is_told_once_for_each_queue_and_kind_however_often_it_is_met() -> None:
    scene = Scene()
    for news in ({OF_MAIL, Told(ELSEWHERE, ECHO)}, set[object](), set[object]()):
        scene.submit(MAIL)
        scene.submit(ECHO)
        scene.submit(ECHO, ELSEWHERE)
        assert set(await scene.looked(ECHO)) == news


@virtual
async def test_it_is_told_again_only_after_somebody_has_served_it() -> None:
    scene = Scene()
    scene.submit(MAIL)
    assert await scene.looked() == [OF_MAIL]
    for alive in ([ECHO], []):  # others come and go
        assert await scene.looked(*alive) == []
        scene.submit(MAIL)
        assert await scene.looked(*alive) == []

    assert await scene.looked(MAIL) == []
    assert await scene.looked() == []
    scene.submit(MAIL)
    assert await scene.looked() == [OF_MAIL]


@virtual
async def test_who_has_just_come_when_a_task_is_due_is_looked_for_first() -> None:
    scene = Scene()
    scene.submit(MAIL)
    assert await scene.looked(MAIL) == []
    assert await scene.looked() == []


@virtual
async def test_while_nobody_can_look_nothing_is_told_and_nothing_forgotten() -> None:
    scene = Scene()
    scene.submit(MAIL)
    scene.away = True
    assert await scene.looked() == []
    scene.away = False
    assert await scene.looked() == [OF_MAIL]


def test_a_bounded_number_is_kept_and_of_more_none_is_told_until_some_are_served() -> None:
    unserved, nobody = Unserved(), Audiences()
    kinds = [Kind(f"k{n:05}") for n in range(MOST_UNSERVED + 10)]
    for _ in range(2):
        for kind in kinds:
            unserved.miss(DEFAULT_QUEUE, kind)
    missed = unserved.missed
    assert sorted(kind for _, kind in missed) == kinds[:MOST_UNSERVED]
    assert len(unserved.news(missed, nobody.serves)) == MOST_UNSERVED
    unserved.miss(DEFAULT_QUEUE, kinds[-1])
    assert unserved.missed == []

    unserved.forget(Audiences([Signature.of([DEFAULT_QUEUE], kinds[:1])]).serves)
    unserved.miss(DEFAULT_QUEUE, kinds[-1])
    assert unserved.missed == [(DEFAULT_QUEUE, kinds[-1])]
