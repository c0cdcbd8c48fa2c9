"""PostgreSQL and Valkey out of wheels, as children of this process. For development and tests, never for production."""

from sluice.cli.embedded.postgres import Postgres
from sluice.cli.embedded.servers import Servers, Urls
from sluice.cli.embedded.valkey import Valkey

__all__ = ["Postgres", "Servers", "Urls", "Valkey"]
