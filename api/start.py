"""What is looked at before anything is served. Changes nothing in either store."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sluice.core.errors import StoreUnavailable
from sluice.core.events import StoreLost
from sluice.db.broker import Broker
from sluice.db.keys import Keys
from sluice.db.ready import ReadyLists
from sluice.db.session import Limits, make_engine
from sluice.db.start import check_postgresql

if TYPE_CHECKING:
    from sluice.core.events import Report
    from sluice.core.settings import ApiSettings

# Every endpoint answers within two seconds when PostgreSQL does not.
LIMITS = Limits(
    connect=timedelta(seconds=1),
    statement=timedelta(seconds=1.4),
    lock=timedelta(seconds=1),
    answer=timedelta(seconds=1.4),
    pool_wait=timedelta(seconds=1),
)


async def check_stores(settings: ApiSettings, report: Report) -> None:
    """Wait for PostgreSQL, which must be safe and migrated; say so when Redis is away. Raises ConfigurationError."""
    engine = make_engine(
        settings.database_url.get_secret_value(),
        role="api-start",
        pool_size=2,
        limits=LIMITS,
        schema=settings.sluice_schema,
    )
    try:
        await check_postgresql(engine, settings.sluice_schema, report)
    finally:
        await engine.dispose()
    if url := settings.redis_url.get_secret_value():
        broker = Broker(url)
        try:
            await ReadyLists(broker, Keys(settings.redis_prefix), report).try_pushing()
        except StoreUnavailable as away:
            report(StoreLost(away.store, doing="start", reason=away.reason))
        finally:
            await broker.close()
