"""What handler modules import. Importing it opens and registers nothing, and needs no driver and no framework."""

from sluice.consumer.handlers.context import Context
from sluice.consumer.handlers.exceptions import Discard, Retry, Snooze
from sluice.consumer.handlers.mark import handler

__all__ = ["Context", "Discard", "Retry", "Snooze", "handler"]
