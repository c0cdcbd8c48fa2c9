from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from watchfiles import awatch

from sluice.core.process import changes as watching
from sluice.core.process.changes import changes, roots, scan
from tests.support.eventually import eventually


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with a module in it, a package, and much that is none of the project's."""
    for name in (
        "tasks.py",
        "shop/mail.py",
        ".git/hook.py",
        "node_modules/x/y.py",
        "env/pyvenv.cfg",
        "env/lib/z.py",
    ):
        write(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@asynccontextmanager
async def seen(*folders: Path) -> AsyncIterator[list[str]]:
    """The names that are told, from the moment at which what is saved is seen."""
    told: list[str] = []

    async def follow() -> None:
        async for names in changes(folders):
            told.extend(names)

    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow())
        await asyncio.sleep(0)  # it has read what is there, before it waits for the first time
        yield told
        following.cancel()


async def told(names: list[str], *, name: str) -> None:
    await eventually(lambda: name in names)
    names.clear()


async def test_what_is_saved_made_and_removed_is_told_by_its_name(project: Path) -> None:
    async with seen(project) as names:
        write(project / "tasks.py", "x = 1")
        await told(names, name="tasks.py")
        write(project / "shop" / "mail.py", "x = 1")
        await told(names, name="shop/mail.py")
        write(project / "new" / "deep" / "first.py")
        await told(names, name="new/deep/first.py")
        write(project / "new" / "deep" / "second.py")
        await told(names, name="new/deep/second.py")
        (project / "shop").rename(project / ".away")
        await told(names, name="shop/mail.py")


async def test_what_is_none_of_the_project_s_is_told_of_nothing(project: Path) -> None:
    async with seen(project) as names:
        for name in (
            "notes.txt",
            ".#tasks.py",
            ".git/hook.py",
            "node_modules/x/y.py",
            "env/lib/z.py",
            "__pycache__/a.py",
        ):
            write(project / name, "x = 1")
        write(project / "tasks.py", "x = 1")
        await eventually(lambda: names)
    assert set(names) == {"tasks.py"}


def test_no_folder_of_libraries_or_data_is_watched(project: Path) -> None:
    assert scan([project]).folders == {str(project), str(project / "shop")}


def test_a_tree_without_end_is_read_in_part(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_FOLDERS", 1)
    assert scan([project]).folders == {str(project)}


@pytest.mark.parametrize("refusal", [OSError, RuntimeError], ids=["no watch left", "no watcher left"])
async def test_folders_that_the_system_does_not_watch_are_polled(
    project: Path, monkeypatch: pytest.MonkeyPatch, refusal: type[Exception]
) -> None:
    asked = []

    def refusing(*folders: str, **options: Any) -> Any:
        asked.append(options["force_polling"])
        if not options["force_polling"]:
            raise refusal("OS file watch limit reached. about [...]")
        return awatch(*folders, **{**options, "poll_delay_ms": 20})

    monkeypatch.setattr(watching, "awatch", refusing)
    async with seen(project) as names:
        await eventually(lambda: True in asked)
        write(project / "tasks.py", "x = 1")
        await told(names, name="tasks.py")


def test_the_code_is_here_and_beside_the_modules_of_handlers(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("src")
    write(elsewhere / "orders" / "__init__.py", "raise AssertionError('imported')")
    write(elsewhere / "spaced" / "tasks.py")
    monkeypatch.setattr(sys, "path", [str(elsewhere), *sys.path])
    for module in ("orders.tasks", "spaced.tasks"):
        assert roots([module]) == [project, elsewhere]
    assert roots(["tasks", "no_such_module", "json", "httpx2", "sys", ".", "__main__"]) == [project]


def test_the_root_of_the_file_system_is_nobody_s_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "here", lambda: Path(os.sep))
    assert roots([]) == []
