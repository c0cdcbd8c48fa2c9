"""How hypothesis works here: no deadlines on a machine that is shared, and in CI the same examples in every run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sluice.cli.embedded import Urls
from tests.property.life_run import Machine, machines
from tests.support.clocked import clocked

settings.register_profile("sluice", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("sluice")


@pytest.fixture(scope="session")
async def life_url(servers: Urls, run_directory: Path, worker_id: str) -> AsyncIterator[str]:
    """This test process's database for the lives of tasks, whose clock they set."""
    name = f"life_{run_directory.name.removeprefix('sluice-tests-')}_{worker_id}"
    async with clocked(servers.database_url, name) as url:
        yield url


@pytest.fixture
def machine(life_url: str) -> Iterator[Machine]:
    with machines(life_url) as run:
        yield run
