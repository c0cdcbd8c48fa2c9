"""The look for a pooler that changes sessions, over poolers that choose the next server in different ways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from random import Random
from typing import Any

import pytest

from sluice.core.errors import ConfigurationError
from sluice.db.pooler import complaint, refuse_pooler


class Pooler:
    """An engine whose connections get the session that `choose` says for each statement of theirs."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        self._choose = choose
        self._sessions: dict[int, str] = {}
        self._clients = count()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        yield Client(self, next(self._clients))

    def run(self, client: int, sql: str) -> str:
        """What the session that it lands on answers."""
        session = self._choose(client)
        if sql.startswith("SET"):
            self._sessions[session] = sql.rpartition(" = ")[2]
            return "SET"
        if sql.startswith("RESET"):
            self._sessions.pop(session, None)
            return "RESET"
        return f"SELECT {int(self._sessions.get(session) == sql.rpartition(' = ')[2])}"


class Client:
    """A connection, and its own driver."""

    def __init__(self, pooler: Pooler, number: int) -> None:
        self._pooler, self._number = pooler, number
        self.driver_connection = self

    async def get_raw_connection(self) -> Client:
        return self

    async def execute(self, sql: str) -> str:
        return self._pooler.run(self._number, sql)


async def test_a_session_of_its_own_for_each_connection_passes() -> None:
    await refuse_pooler(Pooler(lambda client: client))  # type: ignore[arg-type] # all that is used of it


@pytest.mark.parametrize("servers", range(1, 9))
async def test_servers_that_take_turns_are_refused(servers: int) -> None:
    for first in range(servers):
        turns = count(first)
        with pytest.raises(ConfigurationError, match="pool_mode = session"):
            await refuse_pooler(Pooler(lambda _, turns=turns: next(turns) % servers))  # type: ignore[arg-type, misc]


@pytest.mark.parametrize("servers", [2, 3, 20])
async def test_servers_that_chance_chooses_are_refused(servers: int) -> None:
    random = Random(servers)
    for _ in range(200):
        with pytest.raises(ConfigurationError, match="pool_mode = session"):
            await refuse_pooler(Pooler(lambda _: random.randrange(servers)))  # type: ignore[arg-type]


def test_what_a_pooler_refuses_says_what_to_do() -> None:
    for state in ("42P05", "26000"):
        assert "pool_mode = session" in str(complaint(state, 'prepared statement "x" does not exist'))
    assert "ignore_startup_parameters" in str(complaint("08P01", "unsupported startup parameter: jit"))
    assert complaint("08006", "server closed the connection unexpectedly") is None
