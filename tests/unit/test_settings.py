from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from sluice.core.errors import ConfigurationError
from sluice.core.settings import ConsumerSettings, load
from tests.unit.configuring import ALL, REQUIRED

DEFAULTS = {
    "LOG_LEVEL": "info",
    "LOG_FORMAT": None,
    "SLUICE_SCHEMA": "",
    "REDIS_PREFIX": "sluice",
    "API_HOST": "127.0.0.1",
    "API_PORT": 8000,
    "ROOT_PATH": "",
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
    ("SLUICE_SCHEMA", "", ""),
    ("SLUICE_SCHEMA", "_jobs_2" + "x" * 56, "_jobs_2" + "x" * 56),
    ("REDIS_PREFIX", "{team}:a-1", "{team}:a-1"),
    ("API_HOST", "0.0.0.0", "0.0.0.0"),  # noqa: S104 - only read
    ("API_PORT", "0", 0),
    ("ROOT_PATH", "/", ""),
    ("ROOT_PATH", "/a/b.c_~-1/", "/a/b.c_~-1"),
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
    *(
        ("SLUICE_SCHEMA", name, "1 to 63 of a-z, 0-9 and _")
        for name in ("Jobs", "2", "a-b", 'a"b', "x" * 64, "a ")
    ),
    *(("SLUICE_SCHEMA", name, "PostgreSQL's own") for name in ("pg_jobs", "information_schema")),
    ("REDIS_PREFIX", "", "should match"),
    ("REDIS_PREFIX", "two words", "should match"),
    ("REDIS_PREFIX", "x" * 65, "should match"),
    ("API_HOST", "", "at least 1 character"),
    ("API_PORT", "65536", "less than or equal to 65535"),
    ("API_PORT", "-1", "greater than or equal to 0"),
    *(
        ("ROOT_PATH", wrong, "it must be a path such as /sluice")
        for wrong in ("queue", "/a//b", "/a b", "/a?b", "http://x/a", "/ü", "/a/../b", "/.", "/%41")
    ),
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


def test_retention_of_nothing_keeps_everything(env: pytest.MonkeyPatch) -> None:
    assert load(ConsumerSettings).retention == timedelta(days=30)
    env.setenv("RETENTION_DAYS", "0")
    assert load(ConsumerSettings).retention is None
