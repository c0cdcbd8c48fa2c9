"""PgBouncer between us and PostgreSQL: what changes sessions is refused in words, what keeps them is no hindrance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from sluice.cli.migrate import upgrade
from sluice.core.errors import ConfigurationError
from sluice.core.task import Status
from sluice.db.session import make_engine
from sluice.db.start import await_postgresql
from tests.support.consuming import Consumers
from tests.support.eventually import eventually
from tests.support.pooler import PGBOUNCER, pooled
from tests.support.stores import Stores, new

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="no pgbouncer here")
REFUSED = "another session, as PgBouncer's transaction mode does: .* set pool_mode = session"


@pytest.fixture
def port(unused_tcp_port_factory: Callable[[], int]) -> int:
    return unused_tcp_port_factory()


@pytest.mark.parametrize("turns", ["0", "1"])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_that_changes_sessions_is_refused_before_anything_is_made(
    database_url: str, tmp_path: Path, port: int, mode: str, turns: str
) -> None:
    async with pooled(database_url, mode, directory=tmp_path, port=port, server_round_robin=turns) as through:
        busy = [await asyncpg.connect(through, statement_cache_size=0) for _ in range(4)]
        for connection in busy if mode == "transaction" else ():  # so that it has several servers
            await connection.execute("BEGIN")
        for connection in busy:
            await connection.execute("ROLLBACK" if mode == "transaction" else "SELECT 1")
        with pytest.raises(ConfigurationError, match=REFUSED):
            await upgrade(through)
        engine = make_engine(through, role="test", pool_size=2)
        with pytest.raises(ConfigurationError, match=REFUSED):
            await await_postgresql(engine, on_wait=lambda _: None)
        await engine.dispose()
        for connection in busy:
            await connection.close()


async def test_a_consumer_says_so_in_one_line(
    consumers: Consumers, database_url: str, tmp_path: Path, port: int
) -> None:
    async with pooled(database_url, "transaction", directory=tmp_path, port=port) as through:
        consumer = await consumers.launch(DATABASE_URL=through)
        assert await consumer.ended(within=30) == 1
        [line] = await eventually(lambda: consumer.said)
    assert line.startswith("sluice consumer: DATABASE_URL leads to a connection pooler")


async def test_a_pooler_that_keeps_sessions_runs_tasks_and_drops_no_limit(
    stores: Stores, consumers: Consumers, database_url: str, tmp_path: Path, port: int
) -> None:
    async with pooled(database_url, "session", directory=tmp_path, port=port) as through:
        assert not (await upgrade(through)).changed
        engine = make_engine(through, role="test", pool_size=1)
        async with engine.connect() as connection:
            shown = await connection.exec_driver_sql("SELECT current_setting('statement_timeout')")
            assert shown.scalar_one() == "10s"
        await engine.dispose()
        consumer = await consumers.start(DATABASE_URL=through)
        [task] = await stores.submit_and_push([new()])

        async def ended() -> bool:
            return (await stores.get(task)).status == Status.COMPLETED

        await eventually(ended)
        assert (await consumer.stop())[0] == 0


async def test_a_parameter_of_the_url_that_a_pooler_refuses_is_told_at_once(
    database_url: str, tmp_path: Path, port: int
) -> None:
    async with pooled(database_url, "session", directory=tmp_path, port=port) as through:
        told = r"PgBouncer: unsupported startup parameter: geqo; .* ignore_startup_parameters"
        with pytest.raises(ConfigurationError, match=told):
            await upgrade(f"{through}?geqo=off")
