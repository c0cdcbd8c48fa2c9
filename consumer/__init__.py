"""The consumer, and what a handler module needs of it. Importing it opens and registers nothing."""

from consumer.context import Context
from consumer.control import Discard, Retry, Snooze
from consumer.registry import handler

__all__ = ["Context", "Discard", "Retry", "Snooze", "handler"]
