"""What all verdicts say and ask: who is guilty, and whether a fault was there at the time."""

from __future__ import annotations

from typing import NamedTuple

from tests.chaos.evidence import Fault

AFTERMATH = 10.0
"""Seconds beyond the lease in which what follows from a fault has followed."""

PAUSED = "consumer paused"
KILLED = ("consumer killed", "API killed")
TOLD_TO_STOP = ("consumer told to stop", "consumer's group told to stop", "API told to stop")
FORK_SERVER_STOPPED = "fork server stopped"


class Guilty(NamedTuple):
    """What was found, and on which task if it was on one."""

    what: str
    id: str | None = None


def during(fault: Fault, since: int, until: int) -> bool:
    return fault.began <= until and fault.healed >= since
