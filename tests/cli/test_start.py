from __future__ import annotations

from datetime import timedelta
from traceback import format_exception

import pytest

from sluice.cli.embedded import Urls
from sluice.core.errors import ConfigurationError, StoreUnavailable
from sluice.db.session import make_engine
from sluice.db.start import await_postgresql

SOON = timedelta(seconds=0.8)


async def _await(url: str, start_timeout: timedelta = SOON) -> list[str]:
    said: list[str] = []
    engine = make_engine(url, role="test", pool_size=2)
    try:
        await await_postgresql(engine, start_timeout=start_timeout, on_wait=said.append)
    finally:
        await engine.dispose()
    return said


async def test_a_server_that_answers_is_not_waited_for(servers: Urls) -> None:
    assert await _await(servers.database_url) == []


async def test_a_server_that_is_away_is_waited_for_and_then_named_with_its_variable(
    unused_tcp_port: int,
) -> None:
    said: list[str] = []
    engine = make_engine(f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/x", role="test", pool_size=2)
    with pytest.raises(StoreUnavailable, match=r"Connect call failed.*\(waited 0.8 s\).*DATABASE_URL"):
        await await_postgresql(engine, start_timeout=SOON, on_wait=said.append)
    assert len(said) == 1


async def test_what_a_start_raises_drags_no_other_tracebacks_along(unused_tcp_port: int) -> None:
    for url in (f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/x", "postgresql://me@127.0.0.1:99999/x"):
        with pytest.raises((StoreUnavailable, ConfigurationError)) as told:
            await _await(url)
        assert "direct cause" not in "".join(format_exception(told.value))
        assert "During handling" not in "".join(format_exception(told.value))


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("/sluice?", "/nowhere_at_all?", "nowhere_at_all"),
        ("//postgres@", "//nobody_here@", "nobody_here"),
        ("?", "?sslmode=never&", "sslmode"),
        ("?", "?surprise=1&", 'unrecognized configuration parameter "surprise"; set DATABASE_URL$'),
        ("?", "?datestyle=never&", "DateStyle"),
        ("?", "?ssl=on&", 'parameter "ssl" cannot be changed now'),
        ("@/", "@127.0.0.1:se/cret/", "cannot be parsed"),
        ("@/", "@127.0.0.1:99999/", "cannot be parsed"),
    ],
)
async def test_what_only_a_person_can_mend_is_told_at_once(
    servers: Urls, before: str, after: str, named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        await _await(servers.database_url.replace(before, after, 1), timedelta(minutes=5))


async def test_no_piece_of_a_password_is_shown() -> None:
    with pytest.raises(ConfigurationError) as told:
        await _await("postgresql://me:12se/cret@127.0.0.1/x")
    assert "12se" not in str(told.value)
