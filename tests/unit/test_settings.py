from __future__ import annotations

import errno
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from core.errors import ConfigurationError
from core.settings import (
    ApiSettings,
    ClientSettings,
    ConsumerSettings,
    DatabaseSettings,
    StoreSettings,
    UpSettings,
    environment,
    load,
)

DATABASE, REDIS = "postgresql://u:hush@h/d", "redis://:hush@h"
REQUIRED = {"DATABASE_URL": DATABASE, "REDIS_URL": REDIS}
ALL: tuple[type[BaseSettings], ...] = (ApiSettings, ConsumerSettings, ClientSettings)

DEFAULTS = {
    "LOG_LEVEL": "info",
    "LOG_FORMAT": None,
    "REDIS_PREFIX": "sluice",
    "API_HOST": "127.0.0.1",
    "API_PORT": 8000,
    "UNKNOWN_KINDS": "refuse",
    "MAX_BODY_BYTES": 1_048_576,
    "WORKER_QUEUE_MAXSIZE": 100,
    "HANDLERS": (),
    "QUEUES": ("default",),
    "DRAIN_SECONDS": 25.0,
    "LEASE_SECONDS": 30.0,
    "HANDLER_POOL_SIZE": 10,
    "RETENTION_DAYS": 30.0,
    "SLUICE_URL": "http://127.0.0.1:8000",
}

TAKEN: list[tuple[str, str, Any]] = [
    ("LOG_LEVEL", " DEBUG", "debug"),
    ("LOG_FORMAT", "Json", "json"),
    ("REDIS_PREFIX", "{team}:a-1", "{team}:a-1"),
    ("API_HOST", "0.0.0.0", "0.0.0.0"),  # noqa: S104 - only read
    ("API_PORT", "0", 0),
    ("UNKNOWN_KINDS", "Accept", "accept"),
    ("MAX_BODY_BYTES", "1024", 1024),
    ("WORKER_QUEUE_MAXSIZE", "1", 1),
    ("WORKER_QUEUE_MAXSIZE", "100000", 100_000),
    ("HANDLERS", "", ()),
    ("HANDLERS", " shop.tasks , mail,shop.tasks,", ("shop.tasks", "mail")),
    ("QUEUES", "mail,a.b-c_1 , mail", ("mail", "a.b-c_1")),
    ("DRAIN_SECONDS", "0", 0.0),
    ("LEASE_SECONDS", "1", 1.0),
    ("LEASE_SECONDS", "3600", 3600.0),
    ("HANDLER_POOL_SIZE", "1", 1),
    ("RETENTION_DAYS", "0.5", 0.5),
    ("SLUICE_URL", "https://sluice.example/base/", "https://sluice.example/base"),
]

REFUSED = [
    ("LOG_LEVEL", "loud", "'debug', 'info', 'warning', 'error' or 'critical'"),
    ("LOG_FORMAT", "xml", "'console' or 'json'"),
    ("REDIS_PREFIX", "", "should match"),
    ("REDIS_PREFIX", "two words", "should match"),
    ("REDIS_PREFIX", "x" * 65, "should match"),
    ("API_HOST", "", "at least 1 character"),
    ("API_PORT", "65536", "less than or equal to 65535"),
    ("API_PORT", "-1", "greater than or equal to 0"),
    ("UNKNOWN_KINDS", "maybe", "'refuse' or 'accept'"),
    ("MAX_BODY_BYTES", "1023", "greater than or equal to 1024"),
    ("WORKER_QUEUE_MAXSIZE", "0", "greater than or equal to 1"),
    ("WORKER_QUEUE_MAXSIZE", "100001", "less than or equal to 100000"),
    ("WORKER_QUEUE_MAXSIZE", "", "valid integer"),
    ("WORKER_QUEUE_MAXSIZE", "1.5", "valid integer"),
    ("HANDLERS", "shop/tasks.py", "module names"),
    ("HANDLERS", "shop..tasks", "module names"),
    ("QUEUES", "", "comma-separated names"),
    ("QUEUES", "mail,two words", "comma-separated names"),
    ("QUEUES", "x" * 65, "comma-separated names"),
    ("DRAIN_SECONDS", "-0.1", "greater than or equal to 0"),
    ("DRAIN_SECONDS", "inf", "finite"),
    ("LEASE_SECONDS", "0.9", "greater than or equal to 1"),
    ("LEASE_SECONDS", "3601", "less than or equal to 3600"),
    ("LEASE_SECONDS", "nan", "finite"),
    ("HANDLER_POOL_SIZE", "0", "greater than or equal to 1"),
    ("RETENTION_DAYS", "-1", "greater than or equal to 0"),
    ("SLUICE_URL", "sluice.example", "http:// or https://"),
    *(
        ("SLUICE_URL", url, "it must name a host, and a port from 1 to 65535 or none")
        for url in (
            "http://",
            "http://h:abc",
            "http://h:99999",
            "http://h:0",
            "http://a..b",
            f"http://{'a' * 64}",
        )
    ),
]


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in ALL:
        for name in kind.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which what is required is set."""
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def owner_of(variable: str) -> type[BaseSettings]:
    return next(kind for kind in ALL if variable.lower() in kind.model_fields)


def read(variable: str) -> Any:
    return getattr(load(owner_of(variable)), variable.lower())


def test_every_variable_has_a_default_or_is_required() -> None:
    fields = {name.upper() for kind in ALL for name in kind.model_fields}
    assert fields == DEFAULTS.keys() | REQUIRED.keys()


@pytest.mark.parametrize(("variable", "default"), DEFAULTS.items())
def test_a_variable_that_is_not_set_has_its_default(
    env: pytest.MonkeyPatch, variable: str, default: object
) -> None:
    assert read(variable) == default


@pytest.mark.parametrize(("variable", "text", "value"), TAKEN)
def test_a_variable_is_read(env: pytest.MonkeyPatch, variable: str, text: str, value: object) -> None:
    env.setenv(variable, text)
    assert read(variable) == value


@pytest.mark.parametrize(("variable", "text", "allowed"), REFUSED)
def test_a_wrong_value_is_refused_in_one_line_that_names_the_variable_the_value_and_what_is_allowed(
    env: pytest.MonkeyPatch, variable: str, text: str, allowed: str
) -> None:
    env.setenv(variable, text)

    with pytest.raises(ConfigurationError, match=re.escape(allowed)) as refused:
        read(variable)

    assert str(refused.value).startswith(f"{variable} is {text!r}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "hint"),
    [("DATABASE_URL", "postgresql://user:password@host/database"), ("REDIS_URL", "redis://")],
)
def test_what_is_required_is_asked_for_with_an_example(
    env: pytest.MonkeyPatch, variable: str, hint: str
) -> None:
    env.delenv(variable)
    with pytest.raises(ConfigurationError, match=rf"^{variable} is not set; set it to {hint}"):
        load(StoreSettings)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hush@h/d",
        "hush",
        "postgresql://u:[hush]@h/d",
        "postgresql://u:hush\u2100@h/d",
        "postgresql://u:hush@[h/d",
    ],
)
@pytest.mark.parametrize("variable", ["DATABASE_URL", "REDIS_URL"])
def test_a_wrong_url_is_refused_without_showing_what_may_be_a_password(
    env: pytest.MonkeyPatch, variable: str, url: str
) -> None:
    env.setenv(variable, url)

    with pytest.raises(ConfigurationError, match=rf"^{variable} is \(not shown\): it ") as refused:
        load(StoreSettings)

    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ftp://me:hush@h", "ftp://h"),
        ("http://me:hush@h:0", "http://h:0"),
        ("HTTP://me:12hush/hush?hush#hush@hush@h", "HTTP://h"),
        ("http://me:hush@[h", "http://[h"),
        ("http://me:hush\u2100@h", "http://h"),
        ("me:hush@h", "h"),
        ("me:hush://hush@h", "h"),
        ("me:hu\nsh@h", "h"),
    ],
)
def test_a_wrong_address_of_the_api_is_shown_without_its_password(
    env: pytest.MonkeyPatch, url: str, shown: str
) -> None:
    env.setenv("SLUICE_URL", url)

    with pytest.raises(ConfigurationError) as refused:
        load(ClientSettings)

    assert str(refused.value).startswith(f"SLUICE_URL is {shown!r}: it ")
    assert "hush" not in str(refused.value)


def test_an_empty_database_url_is_no_database_and_an_empty_redis_url_no_redis(
    env: pytest.MonkeyPatch,
) -> None:
    env.setenv("REDIS_URL", "")
    assert load(StoreSettings).redis_url == SecretStr("")

    env.setenv("DATABASE_URL", "")
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL is empty; set it to postgresql://"):
        load(DatabaseSettings)


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        *(("DATABASE_URL", f"{scheme}://h/d") for scheme in ("postgresql", "postgres", "postgresql+asyncpg")),
        *(("REDIS_URL", f"{scheme}://h") for scheme in ("redis", "rediss", "unix")),
    ],
)
def test_each_scheme_of_a_store_is_taken(env: pytest.MonkeyPatch, variable: str, url: str) -> None:
    env.setenv(variable, url)
    found: SecretStr = getattr(load(StoreSettings), variable.lower())
    assert found.get_secret_value() == url


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("?connect_timeout=10", ""),
        ("?sslmode=require&channel_binding=require", "?sslmode=require"),
        ("?keepalives=1&keepalives_idle=30&host=/tmp&keepalives_count=5&port=1", "?host=/tmp&port=1"),
        ("?target_session_attrs=primary&surprise=1", "?target_session_attrs=primary&surprise=1"),
    ],
)
@pytest.mark.parametrize("kind", [DatabaseSettings, UpSettings])
def test_what_a_url_says_to_libpq_alone_is_left_out(
    env: pytest.MonkeyPatch, kind: type[BaseSettings], query: str, kept: str
) -> None:
    env.setenv("DATABASE_URL", f"postgresql://u:hush@a:1,b:2/d{query}")
    found: SecretStr = getattr(load(kind), "database_url")  # noqa: B009 - both have one
    assert found.get_secret_value() == f"postgresql://u:hush@a:1,b:2/d{kept}"


def test_settings_that_are_printed_show_no_password(env: pytest.MonkeyPatch) -> None:
    assert "hush" not in f"{load(ConsumerSettings)!r} {load(ConsumerSettings)}"


def test_env_is_read_below_the_environment_and_above_the_defaults(
    env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("LEASE_SECONDS=7\nDRAIN_SECONDS=8\nPOSTGRES_PASSWORD=x\nunknown=1\n")
    env.setenv("DRAIN_SECONDS", "9")

    settings = load(ConsumerSettings)

    assert (settings.lease, settings.drain) == (timedelta(seconds=7), timedelta(seconds=9))


def test_a_wrong_value_in_env_is_named_too(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LEASE_SECONDS=soon\n")
    with pytest.raises(ConfigurationError, match=r"^LEASE_SECONDS is 'soon': "):
        load(ConsumerSettings)


def test_an_env_file_that_is_no_text_is_a_mistake_and_no_crash(
    env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(ConfigurationError, match=r"^\.env is not UTF-8"):
        load(ConsumerSettings)


def test_an_env_file_that_may_not_be_read_is_a_mistake_and_no_crash(
    env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / ".env").touch()
    env.setattr("dotenv.main.open", refuse, raising=False)  # root, who may run the tests, may read everything
    with pytest.raises(ConfigurationError, match=r"^\.env cannot be read: Permission denied$"):
        load(ConsumerSettings)


def test_an_option_of_the_command_line_wins_unless_it_was_not_given(env: pytest.MonkeyPatch) -> None:
    env.setenv("QUEUES", "mail")

    assert load(ConsumerSettings, queues=None).queue_names == ("mail",)
    assert load(ConsumerSettings, queues="a,b").queue_names == ("a", "b")
    with pytest.raises(ConfigurationError, match=r"^QUEUES is 'a b': "):
        load(ConsumerSettings, queues="a b")


def test_retention_of_nothing_keeps_everything(env: pytest.MonkeyPatch) -> None:
    assert load(ConsumerSettings).retention == timedelta(days=30)
    env.setenv("RETENTION_DAYS", "0")
    assert load(ConsumerSettings).retention is None


def test_sluice_up_tells_a_redis_that_is_not_named_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load(UpSettings).database_url, load(UpSettings).redis_url) == (SecretStr(""), None)
    monkeypatch.setenv("REDIS_URL", "")
    assert load(UpSettings).redis_url == SecretStr("")


def test_a_child_inherits_the_environment_with_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_URL", "http://one")
    monkeypatch.setenv("QUEUES", "kept")

    child = environment(SLUICE_URL="http://two")

    assert (child["SLUICE_URL"], child["QUEUES"]) == ("http://two", "kept")
