"""The stores that `sluice up` was told to use: where they are, and never who enters them with what."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.cli import stores


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PGHOST", "PGPORT", "PGDATABASE", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", "set")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hush@127.0.0.1/myapp", "myapp at 127.0.0.1"),
        ("postgresql://me:hush@h:5433/my%20app?sslmode=require", "my app at h:5433"),
        ("postgresql://me:hush@[::1]:5433/myapp", "myapp at ::1:5433"),
        ("postgresql://me:hush@a:1,b:2/myapp", "myapp at a:1,b:2"),
        ("postgresql://me@/myapp?host=/run/postgresql&port=5432", "myapp at /run/postgresql"),
        ("postgresql://me:hush@", "its default database at its default host"),
        ("postgresql://me:hu/hush@h/myapp", "what it names"),
        ("postgresql://me:hu?hush@h/myapp", "what it names"),
    ],
)
def test_a_database_is_named_with_its_server_and_without_its_user(url: str, shown: str) -> None:
    assert stores.using(url).removeprefix("using the database ") == f"{shown} (DATABASE_URL)"
    assert stores.named(database_url=url, redis_url="") == {"PostgreSQL": f"{shown}, by DATABASE_URL"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:hush@h:6379/1", "h:6379/1"),
        ("rediss://h/", "h"),
        ("unix:///run/valkey.sock?db=1", "/run/valkey.sock"),
        ("redis://:hu/hush@h", "what it names"),
    ],
)
def test_redis_is_named_by_its_server_and_what_is_set_only_in_the_file_by_that(url: str, shown: str) -> None:
    assert stores.named(database_url="", redis_url=url) == {"Redis": f"{shown}, by REDIS_URL in .env"}


def test_what_is_left_open_is_said_as_the_environment_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGDATABASE", "myapp")
    assert stores.using("postgresql://") == "using the database myapp at elsewhere (DATABASE_URL)"
