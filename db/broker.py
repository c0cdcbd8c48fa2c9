"""Connections to Redis: three clients, each option said aloud (S2 clients). Knows no key and no command of ours.

redis-py's defaults would repeat a pop in silence and cut off a blocking one; nothing here is left to them.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError

from sluice.core.errors import ConfigurationError
from sluice.db.faults import from_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

COMMAND_SECONDS = 0.9
"""How long a command may take: a submission must be answered within a second of Redis going silent."""
CONNECT_SECONDS = 0.8
BLOCK_SECONDS = 1.0
"""How long a blocking pop waits at the server: it ends by itself and is never canceled."""

_OPTION = re.compile(r"(?:keyword argument|Invalid value for) '(\w+)'")
"""How redis-py names an option of a URL that it does not know, or whose value it cannot read."""


class Broker:
    """The clients of one process. Opens nothing until the first command. Raises ConfigurationError for a wrong URL."""

    def __init__(self, url: str, *, connections: int = 8) -> None:
        self.commands = _client(url, connections, answer=COMMAND_SECONDS)
        self.blocking = _client(url, 1, answer=BLOCK_SECONDS + 1.0)
        # For one that listens, and one that tries whether it may.
        self.messages = _client(url, 2, answer=None)

    async def cut(self) -> None:
        """Break every connection off; the next command makes a new one. What is in flight fails."""
        for client in (self.commands, self.blocking, self.messages):
            await cut(client)

    async def close(self) -> None:
        """Close every connection, without waiting for a server that is silent."""
        for client in (self.commands, self.blocking, self.messages):
            await cut(client)
            await client.aclose(close_connection_pool=True)

    @asynccontextmanager
    async def speaking(self) -> AsyncIterator[None]:
        """Commands to any client within: their errors in our words (StoreUnavailable).

        A server that says READONLY is no longer the one to talk to, whichever client heard it: every connection is
        dropped, because an idle one would stay with that server for ever. redis-py itself drops a connection whose
        answer did not come, so that no late answer is read as the answer to a later command.
        """
        try:
            yield
        except Exception as error:
            if isinstance(error, ReadOnlyError):
                await self.cut()
            ours = from_redis(error)
            if ours is None:
                raise
            raise ours from error


class _Pool(BlockingConnectionPool):
    """Connections that end without a farewell: under TLS a close waits 0.8 s for that of a silent server."""

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        """Break them off, those in use too unless told otherwise."""
        idle: list[Any] = list(self._available_connections)
        in_use: list[Any] = list(self._in_use_connections) if inuse_connections else []
        for connection in idle:
            _abort(connection)
            connection._close()  # noqa: SLF001 - no other way
        for connection in in_use:
            # Its user hears of it. redis-py's own would take the streams away from under a command: AttributeError.
            _abort(connection)
            connection.mark_for_reconnect()
        await asyncio.sleep(0)


def _abort(connection: Any) -> None:  # noqa: ANN401 - redis-py does not tell
    if connection._writer is not None:  # noqa: SLF001 - no other way
        connection._writer.transport.abort()  # noqa: SLF001 - as above


def _client(url: str, connections: int, *, answer: float | None) -> Redis:
    ours: dict[str, Any] = {
        "max_connections": connections,
        "timeout": COMMAND_SECONDS,
        "socket_timeout": answer,
        "socket_connect_timeout": CONNECT_SECONDS,
        **({} if url.startswith("unix://") else {"socket_keepalive": True}),
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "health_check_interval": 0,
        "protocol": 3,
        "decode_responses": False,
        "client_name": "sluice",
    }
    try:
        pool = _Pool(**{**parse_url(url), **ours})
        pool.make_connection()  # type: ignore[no-untyped-call]  # opens nothing, but is where an option is refused
    except (TypeError, ValueError, RedisError) as error:
        raise ConfigurationError(f"REDIS_URL {_flaw(error)}") from None
    return Redis.from_pool(pool)


def _flaw(refused: Exception) -> str:
    """Names the option; a parser's other words may hold a piece of the password."""
    if option := _OPTION.search(str(refused)):
        return f"cannot be used: look at its option {option[1]}"
    return "cannot be parsed: look at the port, and percent-encode what is special in the password"


async def cut(client: Redis) -> None:
    """Break the connections of one client off. Asks the server nothing, waits for nothing and fails at nothing."""
    await client.connection_pool.disconnect(inuse_connections=True)


def ask(client: Redis, *words: str | bytes | float) -> Awaitable[Any]:
    """One command; on a pipeline it is queued. redis-py leaves this method untyped."""
    answer: Awaitable[Any] = client.execute_command(*words)  # type: ignore[no-untyped-call]
    return answer
