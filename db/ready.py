"""The Redis lists of ready ids: push, pop, give back. A hint and nothing more; touches no row.

New ids enter on the left, the oldest leave on the right. Whatever is not an id is removed and counted (S1 entries).
Every push sets the list's end: one that nobody pops any more goes by itself.
Every method raises StoreUnavailable when Redis does not answer or refuses a command, with the command's name in the
reason; what was asked may then have happened.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from redis.exceptions import ResponseError

from sluice.core.events import Garbage
from sluice.core.task import ReadyList, TaskId
from sluice.db.broker import BLOCK_SECONDS, ask, cut
from sluice.db.faults import refused_by_redis, wrong_type
from sluice.db.ids import to_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from redis.asyncio import Redis

    from sluice.core.events import Report
    from sluice.db.broker import Broker
    from sluice.db.keys import Keys

EXPIRES_SECONDS = 3600
"""How long a list is kept that nobody pushes to: its consumers may be gone for good. What it held, scans find."""
MOST_LISTED = 100_000
"""Ids that one list holds, the oldest. What is pushed beyond them goes: scans find it once the list has come so far."""
_BRIEFLY_SECONDS = 60
_FRAME = frozenset({"MULTI", "EXEC", "DISCARD"})
"""Around a waiting pop that only tries: in a transaction it does not wait. An idle server notices up to 0.1 s late that
a wait is over: so long it takes where these are refused. DISCARD is for one that took MULTI and refuses EXEC."""
_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def decode(entry: bytes) -> TaskId | None:
    """The id that a list entry is; None for anything else."""
    return to_id(entry.decode("ascii")) if _ID.fullmatch(entry) else None


class ReadyLists:
    """The lists of one REDIS_PREFIX."""

    def __init__(self, broker: Broker, keys: Keys, report: Report) -> None:
        self._broker = broker
        self._keys = keys
        self._report = report
        name = uuid4().hex
        self._wake = keys.wake(name)
        self._probe = keys.probe(name)

    async def push(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:
        """Put ids at the new end: one LPUSH a list, all in one round trip."""
        await self._push("LPUSH", ids)

    async def push_oldest(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:
        """Put ids at the old end, so that the first of each list leaves first."""
        await self._push("RPUSH", {ready: list(reversed(found)) for ready, found in ids.items()})

    async def pop(self, lists: Sequence[ReadyList], n: int) -> tuple[ReadyList, list[TaskId]] | None:
        """Take up to `n` ids from the old end of the first list that has any; None when all are empty."""
        return await self._pop(self._broker.commands, lists, n, "LMPOP")

    async def pop_waiting(self, lists: Sequence[ReadyList], n: int) -> tuple[ReadyList, list[TaskId]] | None:
        """The same, waiting up to BLOCK_SECONDS for an id to come. It ends by itself; never cancel it (S2 clients)."""
        return await self._pop(self._broker.blocking, lists, n, "BLMPOP", BLOCK_SECONDS)

    async def wake(self) -> None:
        """Have a `pop_waiting` that is on its way return at once, empty-handed."""
        async with self._broker.speaking():
            pipeline = self._broker.commands.pipeline(transaction=False)
            _ = ask(pipeline, "LPUSH", self._wake, "wake")
            _ = ask(pipeline, "EXPIRE", self._wake, _BRIEFLY_SECONDS)
            await pipeline.execute()

    async def forget_wake(self) -> None:
        """Leave nothing of `wake` behind."""
        async with self._broker.speaking():
            await ask(self._broker.commands, "UNLINK", self._wake)

    async def cut(self) -> None:
        """Cut off a `pop_waiting` that a silent server holds up: it fails. Asks the server nothing."""
        await cut(self._broker.blocking)

    async def try_pushing(self) -> None:
        """Do what pushes do, on a list of this process's own, and leave nothing. One round trip."""
        await self._try(
            ("LPUSH", self._probe, "probe"),
            ("RPUSH", self._probe, "probe"),
            ("EXPIRE", self._probe, _BRIEFLY_SECONDS),
            ("UNLINK", self._probe),
        )

    async def try_popping(self) -> None:
        """Do what pops do, on a list of this process's own, which is empty; and fail where nothing may be changed.

        One round trip. What `try_pushing` could not take away for want of a right is taken as well.
        """
        await self._try(
            ("UNLINK", self._probe),
            ("LMPOP", 1, self._probe, "RIGHT", "COUNT", 2),
            ("MULTI",),
            ("BLMPOP", 0.001, 1, self._probe, "RIGHT", "COUNT", 1),
            ("EXEC",),
            ("DISCARD",),
        )

    async def _try(self, *commands: tuple[str | float, ...]) -> None:
        async with self._broker.speaking():
            pipeline = self._broker.commands.pipeline(transaction=False)
            for command in commands:
                _ = ask(pipeline, *command)
            for command, answer in zip(commands, await pipeline.execute(raise_on_error=False), strict=True):
                if isinstance(answer, Exception) and command[0] not in _FRAME:
                    raise refused_by_redis(str(command[0]), answer)

    async def _push(self, command: str, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:
        """Each push is followed by the EXPIRE of its list, and by an LTRIM when that has become too long."""
        pushes = [
            (self._keys.ready(ready), [str(task_id) for task_id in found])
            for ready, found in ids.items()
            if found
        ]
        if not pushes:
            return
        async with self._broker.speaking():
            pipeline = self._broker.commands.pipeline(transaction=False)
            for key, entries in pushes:
                _ = ask(pipeline, command, key, *entries)
                _ = ask(pipeline, "EXPIRE", key, EXPIRES_SECONDS)
            answers = await pipeline.execute(raise_on_error=False)
            for (key, entries), answer in zip(pushes, answers[::2], strict=True):
                if isinstance(answer, ResponseError) and wrong_type(answer):
                    await self._drop(key)
                    await ask(self._broker.commands, command, key, *entries)
                    await ask(self._broker.commands, "EXPIRE", key, EXPIRES_SECONDS)
                elif isinstance(answer, Exception):
                    raise refused_by_redis(command, answer)
                elif answer > MOST_LISTED:
                    await ask(self._broker.commands, "LTRIM", key, -MOST_LISTED, -1)
            for answer in answers[1::2]:
                if isinstance(answer, Exception):
                    raise refused_by_redis("EXPIRE", answer)

    async def _pop(
        self, client: Redis, lists: Sequence[ReadyList], n: int, command: str, *waiting: float
    ) -> tuple[ReadyList, list[TaskId]] | None:
        keys = [self._keys.ready(ready) for ready in lists]
        if waiting:
            keys.insert(0, self._wake)
        found = await self._or_unlink(
            keys, lambda _: ask(client, command, *waiting, len(keys), *keys, "RIGHT", "COUNT", n)
        )
        if not found or found[0].decode() == self._wake:
            return None
        key, entries = found
        ids = [task_id for entry in entries if (task_id := decode(entry)) is not None]
        if len(ids) < len(entries):
            self._report(Garbage(len(entries) - len(ids), where=key.decode("utf-8", "replace")))
        return self._keys.to_ready(key), ids

    async def _or_unlink(self, keys: Sequence[str], question: Callable[[Redis], Awaitable[Any]]) -> Any:  # noqa: ANN401 - a Redis answer
        """The answer to `question`. Keys of ours that hold no list are unlinked, and it is asked again (S1 entries)."""
        client = self._broker.commands
        async with self._broker.speaking():
            try:
                return await question(client)
            except ResponseError as error:
                if not wrong_type(error):
                    raise
                for key in keys:
                    if await ask(client, "TYPE", key) not in {b"list", b"none", "list", "none"}:
                        await self._drop(key)
                return await question(client)

    async def _drop(self, key: str) -> None:
        await ask(self._broker.commands, "UNLINK", key)
        self._report(Garbage(1, where=key))
