"""Messages between processes over Redis pub/sub. Each may be lost: every one has a slower way that does not fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from redis.exceptions import ResponseError

from sluice.core.task import FencingToken, RunKey, TaskId
from sluice.db.broker import COMMAND_SECONDS, ask
from sluice.db.faults import refused_by_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sluice.core.task import Task
    from sluice.db.broker import Broker
    from sluice.db.keys import Keys

_LISTEN_SECONDS = 5.0
_LONGEST_MESSAGE = 100


class Signals:
    """The channels of one REDIS_PREFIX. Methods raise StoreUnavailable when Redis does not answer."""

    def __init__(self, broker: Broker, keys: Keys) -> None:
        self._broker = broker
        self._keys = keys

    async def tell_canceled(self, task: Task) -> None:
        """The run that `task` (just canceled, so its token is one ahead) had is to stop (S3 cancels)."""
        await self._publish(self._keys.cancels, f"{task.id} {task.fencing_token - 1}")

    async def listen(self) -> AsyncIterator[RunKey | None]:
        """Canceled runs as they come, None now and then. What is none is passed over (S1 entries).

        Raises StoreUnavailable when the connection is lost; messages of the time in between are lost too.
        """
        client = self._broker.messages
        async with self._broker.speaking(), client.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(self._keys.cancels)
            loop = asyncio.get_running_loop()
            asked_at: float | None = None
            while True:
                message = await channel.get_message(timeout=_LISTEN_SECONDS)
                if message is not None:
                    asked_at = None
                    if message["type"] == "message":
                        yield _decode(message["data"])
                    continue
                if asked_at is None:
                    asked_at = loop.time()
                    await channel.ping()  # a half-open connection looks like silence
                elif loop.time() - asked_at >= _LISTEN_SECONDS:
                    raise TimeoutError("nobody answers a PING")
                yield None

    async def try_telling(self) -> None:
        """Send a message that nobody takes for anything, and listen for a moment. Fails where either is refused.

        A connection is opened for it and closed again: whoever listens meanwhile does so on one of his own.
        """
        await self._publish(self._keys.cancels, "")
        async with self._broker.speaking(), self._broker.messages.pubsub() as channel:
            await channel.subscribe(self._keys.cancels)
            try:
                if await channel.get_message(timeout=COMMAND_SECONDS) is None:
                    raise TimeoutError("SUBSCRIBE is not answered")
            except ResponseError as error:
                raise refused_by_redis("SUBSCRIBE", error) from error

    async def _publish(self, channel: str, text: str) -> None:
        async with self._broker.speaking():
            try:
                await ask(self._broker.commands, "PUBLISH", channel, text)
            except ResponseError as error:
                raise refused_by_redis("PUBLISH", error) from error


def _decode(data: object) -> RunKey | None:
    if not isinstance(data, bytes) or len(data) > _LONGEST_MESSAGE:
        return None
    try:
        task_id, token = data.decode("ascii").split(" ")
        return (TaskId(UUID(task_id)), FencingToken(int(token)))
    except (ValueError, UnicodeDecodeError):
        return None
