"""The fixtures every test may ask for: servers, a database per test process, a Redis prefix and the stores per test."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sluice.cli.embedded import Urls
from tests.support.consuming import Consumers, consumers_of
from tests.support.databases import clear, migrated
from tests.support.effects import effects_table as make_effects_table
from tests.support.servers import Run, join
from tests.support.stores import Stores, open_stores

RUN = pytest.StashKey[Run]()
LONG = (
    "docs/test_examples.py",
    "bounded/test_back_pressure.py",
    "bounded/test_base_line.py",
    "embedded/test_up.py",
    "embedded/test_up_death.py",
    "e2e/test_recovery.py",
    "hostile/test_handlers.py",
    "hostile/test_process_state.py",
    "outages/test_api.py",
    "e2e/test_cpu_bound.py",
    "e2e/test_capacity.py",
)
"""Files of twenty seconds or more: they begin first, so that none is left to run alone at the end."""


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what it runs in the background with Ctrl-C ignored, and every program that a test starts inherits
    # that; some are to be ended by Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # the same by `nohup`, for a closed terminal
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if not hasattr(config, "workerinput"):
        config.stash[RUN] = Run()


def pytest_collection() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    """All tests stay until the end: a collector that looked at them each time would take a tenth of a core."""
    gc.enable()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {Path(__file__).parent / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_unconfigure(config: pytest.Config) -> None:
    if RUN in config.stash:
        config.stash[RUN].end()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["run_directory"] = str(node.config.stash[RUN].directory)


@pytest.fixture(scope="session")
def run_directory(request: pytest.FixtureRequest) -> Path:
    """A directory that all processes of this run share."""
    if RUN in request.config.stash:
        return request.config.stash[RUN].directory
    return Path(request.config.workerinput["run_directory"])  # type: ignore[attr-defined] # xdist's


@pytest.fixture(scope="session")
def servers(run_directory: Path) -> Urls:
    """The run's servers: those that SLUICE_TEST_DATABASE_URL and SLUICE_TEST_REDIS_URL name, else embedded ones.

    Its database is there to make others from; tests write to `database_url`.
    """
    database_url = os.environ.get("SLUICE_TEST_DATABASE_URL", "")
    redis_url = os.environ.get("SLUICE_TEST_REDIS_URL", "")
    if database_url and redis_url:
        return Urls(database_url=database_url, redis_url=redis_url)
    embedded = join(run_directory)
    return Urls(database_url=database_url or embedded.database_url, redis_url=redis_url or embedded.redis_url)


@pytest.fixture(scope="session")
async def own_database(servers: Urls, run_directory: Path, worker_id: str) -> AsyncIterator[str]:
    """This test process's migrated database, whatever is in it. For fixtures that outlive one test."""
    name = f"test_{run_directory.name.removeprefix('sluice-tests-')}_{worker_id}"
    async with migrated(servers.database_url, name) as url:
        yield url


@pytest.fixture
async def database_url(own_database: str) -> str:
    """This test process's migrated database, emptied."""
    await clear(own_database)
    return own_database


@pytest.fixture(scope="session")
def redis_url(servers: Urls) -> str:
    """The run's Redis. Shared: write only under `redis_prefix`."""
    return servers.redis_url


@pytest.fixture
def redis_prefix(worker_id: str) -> str:
    """A REDIS_PREFIX that no other test has."""
    return f"{worker_id}-{uuid4().hex[:12]}"


@pytest.fixture
def urls(database_url: str, redis_url: str) -> Urls:
    """Both, as one test may use them."""
    return Urls(database_url=database_url, redis_url=redis_url)


@pytest.fixture
async def stores(urls: Urls, redis_prefix: str) -> AsyncIterator[Stores]:
    """Every store, on an empty database and an empty prefix."""
    async with open_stores(urls, redis_prefix) as opened:
        yield opened


@pytest.fixture
async def consumers(urls: Urls, redis_prefix: str, tmp_path: Path) -> AsyncIterator[Consumers]:
    """Consumers on the same stores."""
    async with consumers_of(urls, redis_prefix, tmp_path) as them:
        yield them


@pytest.fixture
async def effects_table(stores: Stores) -> AsyncIterator[None]:
    """The table `effects`."""
    async with make_effects_table(stores):
        yield
