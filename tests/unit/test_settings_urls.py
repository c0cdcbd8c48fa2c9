from __future__ import annotations

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from sluice.core.errors import ConfigurationError
from sluice.core.settings import (
    ClientSettings,
    ConsumerSettings,
    DatabaseSettings,
    StoreSettings,
    UpSettings,
    load,
)

pytestmark = pytest.mark.usefixtures("nothing_is_set")


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


def test_sluice_up_tells_a_redis_that_is_not_named_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load(UpSettings).database_url, load(UpSettings).redis_url) == (SecretStr(""), None)
    monkeypatch.setenv("REDIS_URL", "")
    assert load(UpSettings).redis_url == SecretStr("")
