"""The environment, read once and checked whole. The only reader of environment variables and of `.env`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sluice.core import names, urls
from sluice.core.errors import ConfigurationError
from sluice.core.task import QueueName

_POSTGRESQL_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
_REDIS_SCHEMES = ("redis", "rediss", "unix")
_PATH = re.compile(r"(/(?!\.\.?(/|$))[A-Za-z0-9._~-]+)*")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def _names(value: object) -> object:
    return names.split(value) if isinstance(value, str) else value


def _path(value: str) -> str:
    if not _PATH.fullmatch(value):
        raise ValueError("it must be a path such as /sluice, of letters, digits and . _ ~ -")
    return value


def _modules(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(_MODULE.fullmatch(name) for name in value):
        raise ValueError("it must be comma-separated module names, such as myapp.tasks")
    return value


def _schema(value: str) -> str:
    if value and not _SCHEMA.fullmatch(value):
        raise ValueError("it must be 1 to 63 of a-z, 0-9 and _, and begin with no digit")
    if value.startswith("pg_") or value == "information_schema":
        raise ValueError("it must be no schema of PostgreSQL's own")
    return value


def _prefix(value: object) -> object:
    """A proxy's prefix may be written with a slash at its end, and / is none."""
    return value.rstrip("/") if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


PostgresqlUrl = Annotated[
    SecretStr, urls.of_scheme(_POSTGRESQL_SCHEMES), AfterValidator(urls.without_libpq_only)
]
RedisUrl = Annotated[SecretStr, urls.of_scheme(_REDIS_SCHEMES)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)]
LogFormat = Annotated[Literal["console", "json"], BeforeValidator(_lower)]


class LogSettings(BaseSettings):
    """How this process talks. `log_format` None: console on a terminal, JSON otherwise."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=False, extra="ignore", frozen=True)

    log_level: LogLevel = "info"
    log_format: LogFormat | None = None


class SchemaSettings(LogSettings):
    """Where our tables live. An empty `sluice_schema` means that the database's search path finds them."""

    sluice_schema: Annotated[str, AfterValidator(_schema)] = ""


class DatabaseSettings(SchemaSettings):
    """What `sluice migrate` needs, and nothing more."""

    database_url: Annotated[PostgresqlUrl, Field(min_length=1)]


class StoreSettings(DatabaseSettings):
    """Both stores. An empty `redis_url` means running without Redis."""

    redis_url: RedisUrl
    redis_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:{}-]{1,64}$")] = "sluice"


class AddressSettings(BaseSettings):
    """Where the API listens."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    api_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    api_port: Annotated[int, Field(ge=0, le=65535)] = 8000


class ApiSettings(StoreSettings, AddressSettings):
    """What an API process needs."""

    unknown_kinds: Annotated[Literal["refuse", "accept"], BeforeValidator(_lower)] = "refuse"
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 1 << 20
    root_path: Annotated[str, BeforeValidator(_prefix), AfterValidator(_path)] = ""


class ConsumerSettings(StoreSettings):
    """What a consumer process needs. Durations are seconds."""

    worker_queue_maxsize: Annotated[int, Field(ge=1, le=100_000)] = 100
    handlers: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names), AfterValidator(_modules)] = ()
    queues: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names), AfterValidator(names.queues)] = (
        "default",
    )
    drain_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 25.0
    lease_seconds: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 30.0
    handler_pool_size: Annotated[int, Field(ge=1, le=1000)] = 10
    retention_days: Annotated[float, Field(ge=0, le=36_500, allow_inf_nan=False)] = 30.0

    @property
    def queue_names(self) -> tuple[QueueName, ...]:
        """The queues as their own type."""
        return tuple(QueueName(name) for name in self.queues)

    @property
    def lease(self) -> timedelta:
        """Silence after which this consumer counts as dead."""
        return timedelta(seconds=self.lease_seconds)

    @property
    def drain(self) -> timedelta:
        """How long a stopping consumer lets its tasks finish."""
        return timedelta(seconds=self.drain_seconds)

    @property
    def retention(self) -> timedelta | None:
        """How long finished tasks are kept; None keeps them."""
        return timedelta(days=self.retention_days) if self.retention_days else None


class UpSettings(LogSettings):
    """What `sluice up` decides by: a store without a URL is embedded, an empty `redis_url` means none."""

    database_url: PostgresqlUrl = SecretStr("")
    redis_url: RedisUrl | None = None


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with `changes`, for a child."""
    return {**os.environ, **changes}


def source(variable: str) -> str:
    """Return where `variable`, which is set, has its value from: its name, with `.env` when it is set only there."""
    return variable if variable in map(str.upper, os.environ) else f"{variable} in .env"


class ClientSettings(BaseSettings):
    """Where the command line finds the API. One that is not set counts for nothing: cli/address.py looks further."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    sluice_url: Annotated[str, AfterValidator(urls.http)] = "http://127.0.0.1:8000"


S = TypeVar("S", bound=BaseSettings)


def load(kind: type[S], **overrides: Any) -> S:
    """Read `kind` from the environment and `.env`; an override that is not None wins over both.

    Raises ConfigurationError with one line that names the variable, the value and what is allowed.
    """
    try:
        return kind(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as invalid:
        raise ConfigurationError(_explain(invalid, _LEFT_OUT if kind is UpSettings else {})) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f".env is not UTF-8: byte {error.start} does not fit") from None
    except OSError as error:
        raise ConfigurationError(f".env cannot be read: {error.strerror}") from None


def _explain(invalid: ValidationError, left_out: Mapping[str, str]) -> str:
    error = invalid.errors(include_url=False)[0]
    variable = str(error["loc"][0]).upper()
    if error["type"] == "missing":
        return f"{variable} is not set; {_HINTS.get(variable, 'set it')}"
    if variable == "SLUICE_URL":
        shown = repr(urls.without_userinfo(str(error["input"])))
    else:
        shown = "(not shown)" if variable.endswith("_URL") else repr(error["input"])
    allowed = error["msg"].removeprefix("Value error, ")
    if variable == "DATABASE_URL" and error["type"] in {"string_too_short", "too_short"}:
        return f"{variable} is empty; {_HINTS[variable]}"
    otherwise = f"; {left_out[variable]}" if variable in left_out else ""
    return f"{variable} is {shown}: {allowed[0].lower()}{allowed[1:]}{otherwise}"


_HINTS = {
    "DATABASE_URL": "set it to postgresql://user:password@host/database, or use `sluice up` for an embedded server",
    "REDIS_URL": "set it to redis://host:6379, to nothing to run without Redis, or use `sluice up`",
}

EMBEDDED = "leave it out, or empty, for an embedded server"
_LEFT_OUT = {
    "DATABASE_URL": EMBEDDED,
    "REDIS_URL": "leave it out for an embedded server, or empty to run without Redis",
}
