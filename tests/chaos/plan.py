"""When which fault happens to whom: drawn from a seed, at most two at a time. Touches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

WITH_CHILDREN = ("consumer-1", "consumer-2", "consumer-3")
"""Consumers whose handlers include one that is CPU-bound."""
CONSUMERS = (*WITH_CHILDREN, "consumer-4")
PROCESSES = ("api", *CONSUMERS)
WIRES = tuple(f"{process}/{server}" for process in (*PROCESSES, "*") for server in ("postgresql", "redis"))
ANY_WIRE = (*WIRES, "client/api")
TO_POSTGRESQL = tuple(wire for wire in WIRES if wire.endswith("postgresql"))
CONSUMERS_TO_REDIS = ("*/redis", *(f"{consumer}/redis" for consumer in CONSUMERS))


@dataclass(frozen=True, slots=True)
class Class:
    """One kind of fault: what it may hit, and for how many seconds (from, to)."""

    name: str
    targets: tuple[str, ...]
    seconds: tuple[float, float]
    alone: bool = False
    """Nobody but what it touches may feel it, which can be told only while nothing else happens."""


TOGETHER = 0.7
"""The share of rounds with two faults, of those that may have two."""
PAUSE = (4.0, 7.0)
"""Longer than the lease."""
CLASSES = (
    Class("consumer killed", CONSUMERS, (0.5, 3.0)),
    Class("consumer told to stop", CONSUMERS, (0.5, 3.0)),
    Class("consumer paused", CONSUMERS, PAUSE),
    Class("consumer's group told to stop", WITH_CHILDREN, (0.5, 2.0)),
    Class("fork server stopped", WITH_CHILDREN, (5.0, 7.0)),
    Class("API killed", ("api",), (0.3, 2.0)),
    Class("API told to stop", ("api",), (0.3, 2.0)),
    Class("API paused", ("api",), (1.0, 5.0)),
    Class("PostgreSQL stopped at once", ("postgresql",), (0.0, 4.0)),
    Class("backends terminated", ("postgresql",), (0.5, 3.0)),
    Class("backend killed", ("postgresql",), (0.0, 0.5)),
    Class("connections used up", ("postgresql",), (2.0, 5.0)),
    Class("snapshot held open", ("postgresql",), (4.0, 8.0)),
    Class("PostgreSQL read-only", ("postgresql",), (1.0, 4.0)),
    Class("clock stepped", ("postgresql",), (1.0, 2.0)),
    Class("row locked", ("postgresql",), (20.0, 20.0), alone=True),
    Class("unserved backlog", ("postgresql",), (10.0, 12.0), alone=True),
    Class("Redis flushed", ("redis",), (0.0, 2.0)),
    Class("Redis killed", ("redis",), (0.0, 4.0)),
    Class("Redis restarted empty", ("redis",), (0.0, 3.0)),
    Class("Redis read-only", ("redis",), (1.0, 4.0)),
    Class("Redis full", ("redis",), (9.0, 11.0), alone=True),
    Class("Redis refuses a verb", ("redis",), (2.0, 5.0)),
    Class("latency", ANY_WIRE, (2.0, 6.0)),
    Class("black hole to the server", ANY_WIRE, (1.0, 6.0)),
    Class("black hole to the client", ANY_WIRE, (1.0, 6.0)),
    Class("black hole both ways", ANY_WIRE, (1.0, 6.0)),
    Class("connections cut", ANY_WIRE, (0.0, 2.0)),
    Class("connections reset", ANY_WIRE, (0.0, 2.0)),
    Class("connections half closed", ANY_WIRE, (0.0, 2.0)),
    Class("answers to commits held", TO_POSTGRESQL, (0.5, 5.0)),
    Class("answers to pops held", CONSUMERS_TO_REDIS, (0.5, 4.0)),
)


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault to come: `after` so many seconds of its round, for `seconds`; `draw` seeds what is left to chance."""

    after: float
    seconds: float
    name: str
    target: str
    draw: int


Round = list[Planned]
"""One fault, or two of which the second begins before the first is healed."""


def plan(
    seed: int,
    seconds: float,
    *,
    quiet: float,
    deck: Sequence[Class] = CLASSES,
    longest: float = float("inf"),
) -> list[Round]:
    """Rounds that take `seconds` with `quiet` seconds after each. Every class comes once before one comes again.

    No fault lasts for more than `longest` seconds.
    """
    random = Random(seed)
    drawn: list[Class] = []
    rounds: list[Round] = []
    left = seconds
    while True:
        if len(drawn) < 2:
            drawn += random.sample(deck, len(deck))
        kind = drawn.pop(0)
        first = _draw(random, kind, kind.targets, after=0.0, longest=longest)
        faults = [first]
        if not kind.alone and random.random() < TOGETHER:
            after = round(random.uniform(0, max(first.seconds, 0.2)), 2)
            faults += _deal_beside(random, drawn, first, after=after, longest=longest)
        left -= max(fault.after + fault.seconds for fault in faults) + quiet
        if left < 0:
            return rounds
        rounds.append(faults)


def _deal_beside(
    random: Random, drawn: list[Class], beside: Planned, *, after: float, longest: float
) -> Round:
    """The next of the deck that may have company, and can hit something which `beside` does not."""
    for place, kind in enumerate(drawn):
        targets = [target for target in kind.targets if _apart(target, beside.target)]
        if targets and not kind.alone:
            del drawn[place]
            return [_draw(random, kind, targets, after=after, longest=longest)]
    return []


def _draw(random: Random, kind: Class, targets: Sequence[str], *, after: float, longest: float) -> Planned:
    lasts = min(longest, round(random.uniform(*kind.seconds), 2))
    return Planned(after, lasts, kind.name, random.choice(targets), random.getrandbits(32))


def _apart(one: str, other: str) -> bool:
    """Whether two faults leave each other's means alone: a server is stopped once, a wire has one fault."""
    return one != other and not _wires(one) & _wires(other)


def _wires(target: str) -> set[str]:
    process, _, server = target.partition("/")
    if not server:
        return set()
    return {f"{each}/{server}" for each in PROCESSES} if process == "*" else {target}
