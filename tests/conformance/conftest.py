from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sluice.cli.embedded import Urls
from tests.conformance.world import Real, Simulated, World, real
from tests.support.clocked import clocked


@pytest.fixture(scope="session")
async def clocked_url(servers: Urls, run_directory: Path, worker_id: str) -> AsyncIterator[str]:
    """This test process's database with a clock that tests set."""
    name = f"clocked_{run_directory.name.removeprefix('sluice-tests-')}_{worker_id}"
    async with clocked(servers.database_url, name) as url:
        yield url


@pytest.fixture(scope="session")
async def opened(clocked_url: str) -> AsyncIterator[Real]:
    async with real(clocked_url) as stores:
        yield stores


@pytest.fixture(scope="session")
async def opened_partitioned(servers: Urls, run_directory: Path, worker_id: str) -> AsyncIterator[Real]:
    """The same with tasks in partitions: our statements are to work there as they are."""
    name = f"parts_{run_directory.name.removeprefix('sluice-tests-')}_{worker_id}"
    async with clocked(servers.database_url, name, partitioned=True) as url, real(url) as stores:
        yield stores


@pytest.fixture
async def partitioned(opened_partitioned: Real) -> Real:
    """The real stores over partitions, empty."""
    await opened_partitioned.begin_again()
    return opened_partitioned


@pytest.fixture
async def postgresql(opened: Real) -> Real:
    """The real stores, empty."""
    await opened.begin_again()
    return opened


@pytest.fixture(params=["simulated", "postgresql", "partitioned"])
def world(request: pytest.FixtureRequest, postgresql: Real, partitioned: Real) -> World:
    """The real stores, the same over partitions, and their stand-in, one after the other."""
    worlds: dict[str, World] = {
        "simulated": Simulated(),
        "postgresql": postgresql,
        "partitioned": partitioned,
    }
    return worlds[request.param]
