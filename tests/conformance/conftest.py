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


@pytest.fixture
async def postgresql(opened: Real) -> Real:
    """The real stores, empty."""
    await opened.begin_again()
    return opened


@pytest.fixture(params=["simulated", "postgresql"])
def world(request: pytest.FixtureRequest, postgresql: Real) -> World:
    """The real stores and their stand-in, one after the other."""
    return Simulated() if request.param == "simulated" else postgresql
