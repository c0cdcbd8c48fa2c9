"""The tree keeps its rules, and each rule sees its breach. The rules themselves are tools/tree_rules.py."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def rules(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "tree_rules.py", root], capture_output=True, text=True, check=False
    )


def test_this_tree_breaks_no_rule() -> None:
    result = rules(ROOT)

    assert (result.returncode, result.stdout + result.stderr) == (0, "")


BREACHES = {
    "a product file of more than 250 lines": ("core/long.py", "x = 1\n" * 251, "core/long.py:250:"),
    "a package that hides alembic": ("alembic/__init__.py", "", "alembic/__init__.py:1:"),
    "a package among the tests": ("tests/unit/__init__.py", "", "tests/unit/__init__.py:1:"),
    "an index in a lock": (
        "requirements/dev.txt",
        "a==1\n--index-url https://example.org/simple\n",
        "requirements/dev.txt:2:",
    ),
    "a package by its address in a lock": (
        "requirements/dev.txt",
        "a @ https://example.org/a.whl\n",
        "requirements/dev.txt:1:",
    ),
    "a task of the running loop that nobody keeps": (
        "consumer/bare.py",
        "import asyncio\nasyncio.get_running_loop().create_task(work())\n",
        "consumer/bare.py:2:",
    ),
    "a task of a named loop that nobody keeps": (
        "consumer/bare.py",
        "self._loop.create_task(work())\n",
        "consumer/bare.py:1:",
    ),
    "a reader of the environment": ("api/env.py", "import os\nurl = os.environ['URL']\n", "api/env.py:2:"),
    "a cast that text() misreads": ("db/sql/get.sql", "SELECT\n:ids::uuid[]", "db/sql/get.sql:2:"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_the_rules_see(breach: str, tmp_path: Path) -> None:
    name, content, where = BREACHES[breach]
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")

    result = rules(tmp_path)

    assert result.returncode == 1
    assert result.stdout.startswith(where)
    assert len(result.stdout.splitlines()) == 1


ALLOWED = {
    "a product file of 250 lines": ("core/fits.py", "x = 1\n" * 250),
    "the environment in settings": ("core/settings.py", "import os\nurl = os.environ['URL']\n"),
    "the environment handed to a child": ("cli/up.py", "env = os.environ  # environment: for the child\n"),
    "a task of a group": ("consumer/kept.py", "group.create_task(work())\n"),
    "a task that says who keeps it": ("consumer/kept.py", "loop.create_task(work())  # owner: Running\n"),
    "casts of columns and of time": ("db/sql/get.sql", "SELECT a::text, CAST(:at AS uuid[]), '12:30'::time"),
}


@pytest.mark.parametrize("sound", ALLOWED)
def test_the_rules_let_pass(sound: str, tmp_path: Path) -> None:
    name, content = ALLOWED[sound]
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")

    result = rules(tmp_path)

    assert (result.returncode, result.stdout) == (0, "")
