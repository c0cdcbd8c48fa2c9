"""Every connection has its limits, and a server that may lose what it acknowledged is refused (R4 locks)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice.cli.embedded import Servers
from sluice.consumer.stores import Stores as ConsumerStores
from sluice.core.errors import ConfigurationError, OutcomeUnknown, StoreUnavailable
from sluice.core.settings import ConsumerSettings
from sluice.db.session import Database, Limits, make_engine
from tests.support.stores import Stores, new

SHOWN = (
    "application_name",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_isolation",
    "synchronous_commit",
)


async def _shown(engine: AsyncEngine) -> dict[str, str]:
    async with engine.connect() as connection:
        return {name: (await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in SHOWN}


async def test_a_connection_carries_every_limit(database_url: str) -> None:
    limits = Limits(
        statement=timedelta(seconds=7), lock=timedelta(seconds=2), idle_in_transaction=timedelta(minutes=3)
    )
    for transactional in (False, True):
        engine = make_engine(
            database_url, role="looking", pool_size=1, limits=limits, transactional=transactional
        )
        assert await _shown(engine) == {
            "application_name": "sluice/looking",
            "statement_timeout": "7s",
            "lock_timeout": "2s",
            "idle_in_transaction_session_timeout": "3min",
            "transaction_isolation": "read committed",
            "synchronous_commit": "on",
        }
        await engine.dispose()


async def test_all_connections_of_a_consumer_are_limited(database_url: str) -> None:
    settings = ConsumerSettings(database_url=database_url, redis_url="", lease_seconds=9)
    stores = ConsumerStores(settings, lambda _: None)
    try:
        async with stores.open_beats() as beats:
            engines = (stores.engine, stores.handler_engine, beats._database._connections.engine)
            for engine, statement, lock in zip(
                engines, ("10s", "10s", "3s"), ("1s", "3s", "3s"), strict=True
            ):
                shown = await _shown(engine)
                assert shown["statement_timeout"] == statement
                assert shown["lock_timeout"] == lock
                assert shown["idle_in_transaction_session_timeout"] == "1min"
                assert shown["synchronous_commit"] == "on"
    finally:
        await stores.close()


@pytest.mark.parametrize(
    ("standing", "seen"),
    [("off", "on"), ("local", "on"), ("remote_write", "remote_write"), ("remote_apply", "remote_apply")],
)
async def test_a_weaker_commit_is_raised_and_a_stronger_one_stays(
    stores: Stores, database_url: str, standing: str, seen: str
) -> None:
    name = await stores.raw.fetchval("SELECT current_database()")
    await stores.raw.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = {standing}')
    engine = make_engine(database_url, role="test", pool_size=1)
    try:
        assert (await _shown(engine))["synchronous_commit"] == seen
    finally:
        await engine.dispose()
        await stores.raw.execute(f'ALTER DATABASE "{name}" RESET synchronous_commit')


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "utf8"])
async def test_an_encoding_that_the_url_asks_for_alters_no_text(
    stores: Stores, database_url: str, encoding: str
) -> None:
    for transactional in (False, True):
        engine = make_engine(
            f"{database_url}&client_encoding={encoding}",
            role="test",
            pool_size=1,
            transactional=transactional,
        )
        async with engine.connect() as connection:
            [row] = await connection.execute(text("SELECT 'é€漢' AS word, length('é€漢') AS size"))
            assert tuple(row) == ("é€漢", 3)
        await engine.dispose()


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(database_url: str) -> None:
    engine = make_engine(
        database_url, role="test", pool_size=1, limits=Limits(statement=timedelta(milliseconds=50))
    )
    async with engine.connect() as connection:
        with pytest.raises(Exception, match="statement timeout"):
            await connection.execute(text("SELECT pg_sleep(5)"))
    await engine.dispose()


async def test_a_lock_that_is_not_given_is_a_store_that_did_nothing(
    stores: Stores, database_url: str
) -> None:
    engine = make_engine(
        database_url, role="test", pool_size=1, limits=Limits(lock=timedelta(milliseconds=50))
    )
    database = Database(engine)
    [task] = await stores.submit_and_push([new()])
    async with stores.raw.transaction():
        await stores.raw.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", task)
        with pytest.raises(StoreUnavailable) as away:
            await database.rows("cancel", id=task)
    assert not isinstance(away.value, OutcomeUnknown)
    await database.close()


async def test_a_connection_that_is_ended_says_that_the_outcome_is_unknown_and_the_next_one_works(
    stores: Stores,
) -> None:
    async def end_all_others() -> None:
        await stores.raw.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'sluice/test'"
        )

    [task] = await stores.submit_and_push([new()])
    async with stores.raw.transaction():
        await stores.raw.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", task)
        canceling = asyncio.gather(stores.tasks.cancel(task), return_exceptions=True)
        await stores.waited_for()
        await end_all_others()
        [answer] = await canceling
    assert isinstance(answer, OutcomeUnknown)
    canceled, _ = await stores.tasks.cancel(task)
    assert canceled.canceled_from == "pending"


async def test_the_victim_of_a_deadlock_is_sent_once_more(stores: Stores) -> None:
    """Two statements that lock two rows in opposite orders: ours is the victim, and still comes through."""
    first, second = await stores.submit_and_push([new(), new()])
    await stores.raw.execute("SET deadlock_timeout = '10s'")
    async with stores.raw.transaction():
        await stores.raw.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", second)
        # Both rows in one statement of ours: it takes the first and waits for the second.
        reaping = asyncio.gather(
            stores.database.rows("give_back", ids=[first, second], tokens=[0, 0], delays=[0.0, 0.0])
        )
        await stores.waited_for()
        await stores.raw.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", first)
    [rows] = await reaping
    assert {row.id for row in rows} == {first, second}


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
async def test_a_server_that_may_lose_acknowledged_commits_is_refused(
    run_directory: Path, setting: str
) -> None:
    root = run_directory / f"unsafe-{setting}"
    root.mkdir()
    root.chmod(0o711)
    async with Servers(root, ephemeral=True, valkey=False, postgres_settings={setting: "off"}) as urls:
        database = Database(make_engine(urls.database_url, role="test", pool_size=1))
        with pytest.raises(ConfigurationError, match=f"{setting} = off.*set {setting} = on"):
            await database.refuse_unsafe_server()
        await database.close()


async def test_a_server_as_it_should_be_is_not_refused(stores: Stores) -> None:
    await stores.database.refuse_unsafe_server()


async def test_a_database_that_is_closed_to_us_for_a_while_is_a_store_that_is_away(
    stores: Stores, database_url: str
) -> None:
    """REVOKE CONNECT and the end of every session: how one does maintenance. It ended consumers once."""
    name = await stores.raw.fetchval("SELECT current_database()")
    role = f"{name}_visitor"
    await stores.raw.execute(f'CREATE ROLE "{role}" LOGIN; GRANT SELECT ON tasks TO "{role}"')
    there = urlsplit(database_url)
    url = urlunsplit(there._replace(netloc=f"{role}@{there.netloc.rpartition('@')[2]}"))
    engine = make_engine(url, role="test", pool_size=1)
    try:
        database = Database(engine)
        assert await database.rows("held", consumer_id=None) == []
        await stores.raw.execute(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')
        await stores.raw.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role
        )
        with pytest.raises(OutcomeUnknown):
            await database.rows("held", consumer_id=None)  # it may still meet the connection that was ended
        with pytest.raises(OutcomeUnknown, match="permission denied"):
            await database.rows("held", consumer_id=None)
        await stores.raw.execute(f'GRANT CONNECT ON DATABASE "{name}" TO PUBLIC')
        assert await database.rows("held", consumer_id=None) == []
    finally:
        await engine.dispose()
        await stores.raw.execute(f'GRANT CONNECT ON DATABASE "{name}" TO PUBLIC')
        await stores.raw.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')
