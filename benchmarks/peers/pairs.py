"""Pairs of ours and each peer, interleaved, and what became of the peers that gave no figure. Prints nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.peers.catalogue import AGAIN, NODE, PEERS, Peer
from benchmarks.peers.drains import Ours, Side, Theirs, drained
from benchmarks.peers.environments import HERE, Absent, Environment, node_environment, python_environment
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import BrokenRun, Stage

OURS = "sluice"
NAMES = (AGAIN, *(peer.name for peer in PEERS))
_FEWEST = 200


class PeerBroke(BrokenRun):
    """A run of a peer that proves nothing. One of ours ends everything instead."""


@dataclass(slots=True)
class Field:
    """Who takes part: the peers that can run here with their environments, and why the others do not."""

    sides: list[Side] = field(default_factory=list)
    environments: dict[str, Environment] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def comparisons(self) -> list[Comparison]:
        """Ours beside each of them."""
        return [
            Comparison(
                f"drain beside {side.name}",
                workload(side),
                OURS,
                side.name,
                target=side.peer.target if isinstance(side, Theirs) else None,
            )
            for side in self.sides
        ]


def gather(names: Sequence[str], *, python: str | None, say: Callable[[str], None]) -> Field:
    """Install what is not there yet. Takes minutes the first time."""
    found = Field()
    if AGAIN in names:
        found.sides.append(Ours(AGAIN))
    for peer in PEERS:
        if peer.name not in names:
            continue
        try:
            say(f"{peer.name}: its environment")
            environment = _environment(peer, python)
        except Absent as reason:
            found.absent[peer.name] = str(reason)
        else:
            found.environments[peer.name] = environment
            found.sides.append(Theirs(peer, environment))
    return found


def workload(side: Side) -> str:
    """The name under which the runs of ours and of `side` belong together."""
    return f"drain, {side.name}"


async def run(
    stage: Stage, field: Field, *, tasks: int, pairs: int, repeats: int, say: Callable[[str], None]
) -> AsyncIterator[Run]:
    """Every run of every pair, as it is done. A peer that breaks is absent from then on, with the reason."""
    for side in field.sides:
        try:
            for turn in turns((OURS, side.name), pairs):
                async for made in repeated(partial(_pair, stage, side, turn, tasks), repeats):
                    yield made
        except PeerBroke as reason:
            field.absent[side.name] = str(reason)
            say(str(reason))


async def _pair(stage: Stage, side: Side, turn: Turn, tasks: int, attempt: int) -> AsyncIterator[Run]:
    for name in turn.order:
        if name == OURS:
            value, facts = await drained(stage, Ours(OURS), tasks)
        elif isinstance(side, Theirs):
            try:
                value, facts = await drained(stage, side, max(_FEWEST, round(tasks * side.peer.share)))
            except BrokenRun as broken:
                raise PeerBroke(str(broken)) from broken
        else:
            value, facts = await drained(stage, side, tasks)
        yield Run(workload(side), name, turn.number, attempt, value, "tasks/s", facts)


def _environment(peer: Peer, python: str | None) -> Environment:
    if peer.environment == NODE:
        return node_environment(NODE, HERE / "graphile")
    return python_environment(peer.environment, peer.adapter, oldest=peer.oldest_python, named=python)
