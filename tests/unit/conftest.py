"""What more than one file of unit tests sets up before its tests: numbers, an environment, a stand-in."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.unit.configuring import ALL, REQUIRED
from tests.unit.supervising import Machine
from tests.unit.support import VirtualLoop
from tests.unit.working import Transaction


@pytest.fixture
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment and a directory that say nothing about settings."""
    monkeypatch.chdir(tmp_path)
    for kind in ALL:
        for name in kind.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def env(nothing_is_set: None, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which what is required is set."""
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def made() -> list[Transaction]:
    """The transactions that were made, which only stand in for a handler's."""
    Transaction.made = []
    return Transaction.made


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine on which a family's children are started, and their parent gets its signals."""
    machine = Machine()
    monkeypatch.setattr(asyncio, "create_subprocess_exec", machine.start)
    monkeypatch.setattr(
        VirtualLoop, "add_signal_handler", lambda _, number, act: machine.handlers.update({number: act})
    )
    return machine


@pytest.fixture
async def threads() -> AsyncIterator[ThreadPoolExecutor]:
    """One thread for handlers, which is used again."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="handler")
    yield executor
    executor.shutdown(wait=False, cancel_futures=True)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory; what is imported from it is forgotten."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
