"""When which fault happens to whom: drawn from a seed, at most two at a time. Touches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

CONSUMERS = ("consumer-1", "consumer-2", "consumer-3")
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


PAUSE = (4.0, 7.0)
"""Longer than the lease."""
CLASSES = (
    Class("consumer killed", CONSUMERS, (0.5, 3.0)),
    Class("consumer told to stop", CONSUMERS, (0.5, 3.0)),
    Class("consumer paused", CONSUMERS, PAUSE),
    Class("API killed", ("api",), (0.3, 2.0)),
    Class("API told to stop", ("api",), (0.3, 2.0)),
    Class("API paused", ("api",), (1.0, 5.0)),
    Class("PostgreSQL stopped at once", ("postgresql",), (0.0, 4.0)),
    Class("backends terminated", ("postgresql",), (0.5, 3.0)),
    Class("backend killed", ("postgresql",), (0.0, 0.5)),
    Class("connections used up", ("postgresql",), (2.0, 5.0)),
    Class("snapshot held open", ("postgresql",), (4.0, 8.0)),
    Class("Redis flushed", ("redis",), (0.0, 2.0)),
    Class("Redis killed", ("redis",), (0.0, 4.0)),
    Class("Redis restarted empty", ("redis",), (0.0, 3.0)),
    Class("Redis read-only", ("redis",), (1.0, 4.0)),
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


def plan(seed: int, seconds: float, *, quiet: float, deck: Sequence[Class] = CLASSES) -> list[Round]:
    """Rounds that take `seconds` with `quiet` seconds after each. Every class comes once before one comes again."""
    random = Random(seed)
    drawn: list[Class] = []
    rounds: list[Round] = []
    left = seconds
    while True:
        if len(drawn) < 2:
            drawn += random.sample(deck, len(deck))
        faults = _deal(random, drawn, beside=None, after=0.0)
        if random.random() < 0.5:
            (first,) = faults
            after = round(random.uniform(0, max(first.seconds, 0.2)), 2)
            faults += _deal(random, drawn, beside=first, after=after)
        left -= max(fault.after + fault.seconds for fault in faults) + quiet
        if left < 0:
            return rounds
        rounds.append(faults)


def _deal(random: Random, drawn: list[Class], *, beside: Planned | None, after: float) -> Round:
    """The next of the deck that can hit something which `beside` does not, if there is one."""
    for place, kind in enumerate(drawn):
        targets = [target for target in kind.targets if beside is None or _apart(target, beside.target)]
        if targets:
            del drawn[place]
            lasts = round(random.uniform(*kind.seconds), 2)
            return [Planned(after, lasts, kind.name, random.choice(targets), random.getrandbits(32))]
    return []


def _apart(one: str, other: str) -> bool:
    """Whether two faults leave each other's means alone: a server is stopped once, a wire has one fault."""
    return one != other and not _wires(one) & _wires(other)


def _wires(target: str) -> set[str]:
    process, _, server = target.partition("/")
    if not server:
        return set()
    return {f"{each}/{server}" for each in PROCESSES} if process == "*" else {target}
