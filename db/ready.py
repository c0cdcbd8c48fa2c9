"""The Redis lists of ready ids: push, pop, give back, inspect. A hint and nothing more; touches no row.

New ids enter on the left, the oldest leave on the right. Whatever is not an id is removed and counted (S1).
Every method raises StoreUnavailable when Redis does not answer; what was asked may then have happened.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from redis.exceptions import ResponseError

from core.events import Garbage
from core.task import ReadyList, TaskId
from db.broker import BLOCK_SECONDS, ask, cut
from db.faults import wrong_type
from db.ids import to_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from redis.asyncio import Redis

    from core.events import Report
    from db.broker import Broker
    from db.keys import Keys

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
        self._wake = keys.wake(uuid4().hex)

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
        """The same, waiting up to BLOCK_SECONDS for an id to come. It ends by itself; never cancel it (S2)."""
        return await self._pop(self._broker.blocking, lists, n, "BLMPOP", BLOCK_SECONDS)

    async def wake(self) -> None:
        """Have a `pop_waiting` that is on its way return at once, empty-handed."""
        async with self._broker.speaking():
            await ask(self._broker.commands, "LPUSH", self._wake, "wake")

    async def forget_wake(self) -> None:
        """Leave nothing of `wake` behind."""
        async with self._broker.speaking():
            await ask(self._broker.commands, "UNLINK", self._wake)

    async def cut(self) -> None:
        """Cut off a `pop_waiting` that a silent server holds up: it fails. Asks the server nothing."""
        await cut(self._broker.blocking)

    async def oldest(self, ready: ReadyList, n: int) -> list[bytes]:
        """The `n` entries at the old end as they are, the oldest first."""
        key = self._keys.ready(ready)
        found = await self._or_unlink([key], lambda client: ask(client, "LRANGE", key, -n, -1))
        return list(reversed(found or []))

    async def length(self, ready: ReadyList) -> int:
        """How many entries the list holds."""
        key = self._keys.ready(ready)
        return int(await self._or_unlink([key], lambda client: ask(client, "LLEN", key)) or 0)

    async def remove_oldest(self, ready: ReadyList, entries: Sequence[bytes]) -> bool:
        """Remove these entries, the oldest first, from the old end. False: others popped there since, nothing is done.

        Nothing is sought: one entry that is gone would have Redis read the whole list, and serve nobody meanwhile.
        """
        if await self.oldest(ready, 1) != list(entries[:1]):
            return False
        key = self._keys.ready(ready)
        found = await self._or_unlink(
            [key], lambda client: ask(client, "LMPOP", 1, key, "RIGHT", "COUNT", len(entries))
        )
        gone = set(entries)
        if others := [entry for entry in (found[1] if found else ()) if entry not in gone]:
            async with self._broker.speaking():  # somebody popped in between after all
                await ask(self._broker.commands, "RPUSH", key, *reversed(others))
        return True

    async def unlink(self, ready: ReadyList) -> None:
        """Drop the whole list: every entry is only a hint."""
        async with self._broker.speaking():
            await ask(self._broker.commands, "UNLINK", self._keys.ready(ready))

    async def ping(self) -> None:
        """One round trip that changes nothing, but fails where nothing may be changed: a replica, a full disk."""
        async with self._broker.speaking():
            await ask(self._broker.commands, "UNLINK", self._wake)

    async def _push(self, command: str, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:
        commands = [
            (self._keys.ready(ready), [str(task_id) for task_id in found])
            for ready, found in ids.items()
            if found
        ]
        if not commands:
            return
        async with self._broker.speaking():
            pipeline = self._broker.commands.pipeline(transaction=False)
            for key, entries in commands:
                _ = ask(pipeline, command, key, *entries)
            answers = await pipeline.execute(raise_on_error=False)
            for (key, entries), answer in zip(commands, answers, strict=True):
                if isinstance(answer, ResponseError) and wrong_type(answer):
                    await self._drop(key)
                    await ask(self._broker.commands, command, key, *entries)
                elif isinstance(answer, Exception):
                    raise answer

    async def _pop(
        self, client: Redis, lists: Sequence[ReadyList], n: int, command: str, *waiting: float
    ) -> tuple[ReadyList, list[TaskId]] | None:
        by_key = {self._keys.ready(ready): ready for ready in lists}
        keys = [self._wake, *by_key] if waiting else list(by_key)
        found = await self._or_unlink(
            keys, lambda _: ask(client, command, *waiting, len(keys), *keys, "RIGHT", "COUNT", n)
        )
        if not found or found[0].decode() == self._wake:
            return None
        key, entries = found
        ids = [task_id for entry in entries if (task_id := decode(entry)) is not None]
        if len(ids) < len(entries):
            self._report(Garbage(len(entries) - len(ids), where=key.decode("utf-8", "replace")))
        return by_key[key.decode()], ids

    async def _or_unlink(self, keys: Sequence[str], question: Callable[[Redis], Awaitable[Any]]) -> Any:  # noqa: ANN401 - a Redis answer
        """The answer to `question`. Keys of ours that hold no list are unlinked, and it is asked again (S1)."""
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
