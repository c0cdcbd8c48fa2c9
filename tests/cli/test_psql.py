"""`sluice psql`: the database that is meant here, and no password where others can read it."""

from __future__ import annotations

import os

import pytest

from sluice.cli.embedded import Urls
from sluice.cli.psql import variables
from tests.cli.support import Command, Ended, ended

SEES = """#!/bin/sh
echo "$@"
env | grep '^PG' | sort
"""


async def _run(sluice: Command, *arguments: str, **env: str) -> Ended:
    return await ended(await sluice.start("psql", *arguments, env=env))


@pytest.fixture
def seen(sluice: Command) -> str:
    """A PATH whose psql shows its arguments and what it was told beside them."""
    programs = sluice.directory / "bin"
    programs.mkdir()
    (programs / "psql").write_text(SEES)
    (programs / "psql").chmod(0o755)
    return f"{programs}{os.pathsep}{os.environ['PATH']}"


async def test_it_asks_the_database_that_is_named(sluice: Command, empty_database: str) -> None:
    result = await _run(
        sluice, "-qAtX", "-c", "SELECT current_database()", "-c", "SHOW work_mem", DATABASE_URL=empty_database
    )
    assert (result.status, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == empty_database.partition("?")[0].rpartition("/")[2]


async def test_its_status_is_that_of_psql(sluice: Command, servers: Urls) -> None:
    result = await _run(sluice, "-X", "-c", "SELECT nonsense", DATABASE_URL=servers.database_url)
    assert result.status == 1
    assert "nonsense" in result.stderr


async def test_no_password_is_on_its_command_line(sluice: Command, seen: str) -> None:
    url = "postgresql+asyncpg://me:p%40ss@db.example:6543/mine?sslmode=require"
    result = await _run(sluice, "-h", "-c", "SELECT 1", PATH=seen, DATABASE_URL=url, PGSERVICE="other")
    assert result.status == 0, result.stderr
    arguments, *told = result.stdout.splitlines()
    assert arguments == "-h -c SELECT 1"
    assert {
        "PGHOST=db.example",
        "PGPORT=6543",
        "PGUSER=me",
        "PGPASSWORD=p@ss",
        "PGDATABASE=mine",
        "PGSSLMODE=require",
    } <= set(told)
    assert "PGSERVICE=other" not in told


async def test_where_nothing_runs_one_line_says_what_to_start(sluice: Command) -> None:
    result = await _run(sluice)
    assert (result.status, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: no PostgreSQL runs on {sluice.directory}/.sluice: "
        "start `sluice up` in this directory, or set DATABASE_URL\n"
    )
    assert not (sluice.directory / ".sluice").exists()


async def test_without_a_psql_of_the_machine_it_is_that_of_the_embedded_server(
    sluice: Command, empty_database: str
) -> None:
    result = await _run(sluice, "-qAtXc", "SELECT 1", DATABASE_URL=empty_database, PATH="/nowhere")
    assert result == Ended(0, "1\n", "")


async def test_without_any_psql_one_line_says_what_to_install(
    sluice: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.cli.embedded.binaries.find_spec", lambda _: None)
    result = await sluice("psql", DATABASE_URL="postgresql://me@127.0.0.1:9/x", PATH="/nowhere")
    assert (result.status, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert "sluice-tasks[embedded]" in line


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://db.example", {"PGHOST": "db.example"}),
        (
            "postgres://me@/mine?host=/run/pg&port=6",
            {"PGUSER": "me", "PGDATABASE": "mine", "PGHOST": "/run/pg", "PGPORT": "6"},
        ),
        ("postgresql://%2Frun%2Fpg/mine", {"PGHOST": "/run/pg", "PGDATABASE": "mine"}),
        ("postgresql://a:1,b/x", {"PGHOST": "a,b", "PGPORT": "1,", "PGDATABASE": "x"}),
        (
            "postgresql://me:a%3Ab@[::1]:7/x",
            {"PGHOST": "::1", "PGPORT": "7", "PGUSER": "me", "PGPASSWORD": "a:b", "PGDATABASE": "x"},
        ),
        ("postgresql://a?target_session_attrs=primary", {"PGHOST": "a", "PGTARGETSESSIONATTRS": "primary"}),
        (
            "postgresql://a?work_mem=8MB&TimeZone=a%20b",
            {"PGHOST": "a", "PGOPTIONS": r"-c geqo=off -c work_mem=8MB -c TimeZone=a\ b"},
        ),
        ("postgresql://", {}),
    ],
)
def test_what_a_url_says_libpq_is_told_by_its_variables(url: str, told: dict[str, str]) -> None:
    assert variables(url, "-c geqo=off") == told
