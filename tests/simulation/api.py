"""The API's core in a simulated process, group commit and pushes and cancels, and the clients that use it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from sluice.api.cancels import Cancels
from sluice.api.submit.submissions import Submissions
from sluice.api.timeout import Timeout
from sluice.core.errors import OutcomeUnknown, SluiceError, StoreUnavailable, TaskNotFound, TransitionRefused
from sluice.core.events import Event
from sluice.core.task import NewTask, Status, Task
from sluice.db.publisher import Publisher
from sluice.db.ready import ReadyLists
from sluice.db.roster import Roster
from sluice.db.signals import Signals
from tests.simulation.links import KEYS, RedisClients, door
from tests.simulation.plan import Errand
from tests.simulation.ports import Proxy

if TYPE_CHECKING:
    from tests.simulation.world import World

_LIMIT = 1.2
_CLIENT_WAITS = 5.0
_TRIES = 4


class SimApi:
    """What api/main.py puts together, without HTTP."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._host = world.loop.host("api")
        looking = door(world.postgresql, "api", size=4, limit=_LIMIT, wait=1.0)
        submitting = door(world.postgresql, "api.submit", size=2, limit=_LIMIT, wait=1.0)
        ready, signals = None, None
        if world.plan.with_redis:
            broker = RedisClients(world.redis_server, world.redis, "api")
            signals = Signals(broker, KEYS)
            ready = ReadyLists(broker, KEYS, self._report)
        self._tasks: Any = Proxy(world.store.tasks, looking.ask)
        roster = Roster(Proxy(world.store.consumers, looking.ask))
        self._publisher = Publisher(ready, roster, report=self._report)
        store = world.ablation.submits(Proxy(world.store.tasks, submitting.ask), self._publisher)
        self._submissions = Submissions(store, hand_over=self._publisher.submitted, report=self._report)
        self._cancels = Cancels(signals, report=self._report)
        self._timeout = Timeout(timedelta(seconds=1.5))
        flushers = self._submissions.run(), self._submissions.run()
        for going in (*flushers, self._publisher.run(), roster.run(self._report)):
            world.loop.start(self._host, going)

    def die(self) -> None:
        """kill -9: whoever waits for an answer gets none."""
        self._world.note("the API dies")
        self._host.die()

    async def submit(self, task: NewTask) -> None:
        """POST."""
        await self._request(self._submissions.submit([task]))

    async def cancel(self, task: NewTask) -> tuple[Task, bool]:
        """PATCH canceled: answered after the message was sent."""

        async def work() -> tuple[Task, bool]:
            found: tuple[Task, bool] = await self._timeout(self._tasks.cancel(task.id))
            await self._cancels.tell(found[0])
            return found

        answer: tuple[Task, bool] = await self._request(work())
        return answer

    async def retry(self, task: NewTask) -> None:
        """PATCH pending."""

        async def work() -> None:
            self._publisher.retried(await self._timeout(self._tasks.retry(task.id)))

        await self._request(work())

    async def get(self, task: NewTask) -> Task:
        """GET."""
        found: Task = await self._request(self._timeout(self._tasks.get(task.id)))
        return found

    async def _request(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The answer, on the API's host. A dead API does not answer: TimeoutError."""
        if self._host.dead:
            work.close()
            raise TimeoutError
        answering = self._world.loop.spawn(self._host, _caught(work))
        async with asyncio.timeout(_CLIENT_WAITS):
            await asyncio.wait({answering})
        result, error = answering.result()
        if error is not None:
            raise error
        return result

    def _report(self, event: Event) -> None:
        self._world.history.marks[f"api {event.name}"] += event.count


async def _caught(work: Coroutine[Any, Any, Any]) -> tuple[Any, Exception | None]:
    try:
        return await work, None
    except Exception as error:  # noqa: BLE001 - raised again by the client
        return None, error


class Clients:
    """Each runs one errand, and remembers what it was told."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random

    async def run(self, errand: Errand) -> None:
        """Submit, then cancel and retry as the errand says."""
        await asyncio.sleep(errand.at)
        if not await self._submit(errand.task):
            return
        if errand.cancel_after is not None:
            await asyncio.sleep(errand.cancel_after)
            await self._cancel(errand.task)
        if errand.retry_after is not None:
            await asyncio.sleep(errand.retry_after)
            await self._retry(errand.task)

    async def _submit(self, task: NewTask) -> bool:
        """Whether it was accepted, or may have been."""
        history = self._world.history
        history.name(task.id)
        history.submitted.add(task.id)
        if task.kind == "session":
            history.transactional.add(task.id)
        try:
            if self._world.api is None:
                history.refused.add(task.id)
                return False
            await self._world.api.submit(task)
        except (OutcomeUnknown, TimeoutError):
            history.marks["submission without an answer"] += 1
            return True
        except StoreUnavailable:
            history.marks["submission refused"] += 1
            history.refused.add(task.id)
            return False
        history.accepted.add(task.id)
        return True

    async def _cancel(self, task: NewTask) -> None:
        history = self._world.history
        for _ in range(_TRIES):
            api = self._world.api
            try:
                if api is not None:
                    found, won = await api.cancel(task)
                    history.marks[f"canceled from {found.canceled_from}"] += 1
                    history.canceled(found, won=won)
                    return
            except (TransitionRefused, TaskNotFound):
                return
            except (SluiceError, TimeoutError):
                history.marks["cancel without an answer"] += 1
            await asyncio.sleep(self._random.uniform(0.05, 1.0))

    async def _retry(self, task: NewTask) -> None:
        """When it has failed or was canceled; looked at a few times."""
        for _ in range(_TRIES):
            api = self._world.api
            try:
                if api is not None and (await api.get(task)).status in {Status.FAILED, Status.CANCELED}:
                    await api.retry(task)
                    self._world.history.marks["retried by a person"] += 1
                    return
            except TransitionRefused:
                return
            except (SluiceError, TimeoutError):
                self._world.history.marks["retry without an answer"] += 1
            await asyncio.sleep(self._random.uniform(0.05, 1.0))
