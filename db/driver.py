"""One connection to PostgreSQL as asyncpg opens it, and what is settled on it at once. Knows no statement of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from sluice.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMITS_ON_DISK = (
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local')"
)
"""Commits that are on disk are what a 201 promises: a weaker default is raised, a stronger one stays."""
_FORGET = (
    "RESET SESSION AUTHORIZATION; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); "
    "DISCARD TEMP; DISCARD SEQUENCES; "
)


class Connection(asyncpg.Connection):
    """A connection that is dropped at once when it is given up."""

    our_path = ""
    """The search path under which our own tables are found, on a connection whose own path is left as it was."""
    settling = ""
    """What settled its session, for `forget`."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's signature
        """SQLAlchemy names a time when it gives a connection up, after a cancellation or an error.

        A silent server would take all of it from whoever was canceled: 2 s of a drain's last one.
        """
        if timeout is None:
            await super().close()
        else:
            self.terminate()

    async def forget(self) -> None:
        """Take back what somebody whom it was lent to has left on its session. One round trip, in no transaction.

        Settings, the role, cursors, channels that are listened to, advisory locks, temporary tables. Prepared
        statements stay: the driver keeps its own among them.
        """
        await self.execute(_FORGET + self.settling)


def path_with(schema: str) -> str:
    """Return the SQL expression of the search path as it is, with `schema` before it if there is one."""
    ours = f"'\"{schema}\"'" if schema else "NULL"
    return f"concat_ws(', ', {ours}, nullif(current_setting('search_path'), ''))"


def settling(settings: Mapping[str, str]) -> str:
    """Return the statements that settle a session as ours.

    They are sent once it is open: a pooler refuses what it does not know of at the start, or drops it.
    """
    changes = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    return f"SELECT {changes}; {_COMMITS_ON_DISK}"


async def prepare(connection: Connection, settings: Mapping[str, str], *, schema: str) -> None:
    """Settle a connection for our own statements. One round trip.

    Raises ConfigurationError when the database cannot hold every text that we accept.
    """
    _refuse_encoding(connection)
    path = f"; SELECT set_config('search_path', {path_with(schema)}, false)" if schema else ""
    await connection.execute(settling(settings) + path)


async def prepare_to_lend(connection: Connection, settings: Mapping[str, str], *, schema: str) -> None:
    """Settle the same on a connection for statements that are not ours.

    Names are looked up as the database would without us: a user's table may be called like one of ours. What they read
    is uuid.UUID itself; we make do with asyncpg's faster subclass of it. Raises as `prepare` does.
    """
    _refuse_encoding(connection)
    connection.settling = settling(settings)
    await connection.execute(connection.settling)
    connection.our_path = await connection.fetchval(f"SELECT {path_with(schema)}")
    await connection.set_type_codec(
        "uuid",
        schema="pg_catalog",
        encoder=lambda value: value.bytes,
        decoder=lambda value: UUID(bytes=bytes(value)),
        format="binary",
    )


def _refuse_encoding(connection: Connection) -> None:
    """The server tells its encoding when a connection opens."""
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise ConfigurationError(
            f"the database's encoding is {encoding}, which cannot hold every text that Sluice accepts: "
            "create one with ENCODING 'UTF8' TEMPLATE template0, and set DATABASE_URL"
        )
