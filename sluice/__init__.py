"""What handler modules import. Importing it opens and registers nothing, and needs no driver and no framework."""

from sluice.consumer.context import Context
from sluice.consumer.control import Discard, Retry, Snooze
from sluice.consumer.mark import handler

__all__ = ["Context", "Discard", "Retry", "Snooze", "handler"]
