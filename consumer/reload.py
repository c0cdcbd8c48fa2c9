"""`--reload`: the parent of a consumer that begins anew when code changes. Imports neither that code nor a consumer."""

from __future__ import annotations

import asyncio

from sluice.core.errors import SluiceError
from sluice.core.process.changes import changes, roots
from sluice.core.process.reload import reload
from sluice.core.settings import ConsumerSettings, load
from sluice.core.telemetry import log


def run(*, queues: str | None = None, processes: int | None = None) -> int:
    """Keep a consumer, or the parent of `processes` of them, until SIGTERM, SIGINT or SIGHUP; the exit status."""
    try:
        settings = load(ConsumerSettings, queues=queues)
        log.configure(settings.log_level, settings.log_format)
        arguments = {"--queues": queues, "--processes": processes}
        given = [
            word for name, value in arguments.items() if value is not None for word in (name, str(value))
        ]
        return asyncio.run(
            reload("sluice.consumer", given, changes=changes(roots(settings.handlers)), say=_say)
        )
    except SluiceError as error:
        _say(str(error))
        return 1


def _say(what: str) -> None:
    log.say(f"sluice consumer: {what}")
