"""The report's part about other queues, by class of durability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.markdown import known, picture, spread, table
from benchmarks.peers.catalogue import AGAIN, MEANING, PEERS, Durability
from benchmarks.recorded import Session
from benchmarks.results import Figure
from benchmarks.show import number

_TITLES = (
    *("class", "queue", "version", "tasks/s", "Sluice then", "Sluice is", "CPU µs/task: worker", "servers"),
    *("worker MB", "WAL B/task", "tasks a run"),
)


def peers(sessions: Sequence[Session], plots: Mapping[str, str]) -> str:
    """Every queue that took part, those that lost to us and those that won, and why some have no figure."""
    parts = [_field(session) for session in sessions if session.peers]
    if not parts:
        return ""
    return (
        "## Other queues\n\nThe same no-op drain on the same servers, one worker process each, in pairs with Sluice. "
        "The classes say what is left of a task, and when it is let go; a ratio across classes compares unlike "
        "promises.\n\n"
        + picture(plots, "peers", "Tasks a second beside Sluice, by class of durability")
        + "\n".join(parts)
    )


def _field(session: Session) -> str:
    versions = session.told.get("versions", {}).get("peers", {})
    distributions = {peer.name: peer.distribution for peer in PEERS}
    found = {figure.beside: figure for figure in session.figures}
    rows: list[tuple[str, ...]] = []
    if AGAIN in found:
        rows.append(("", "*Sluice beside itself: the noise*", "", *_peer(session, found[AGAIN])))
    for durability in Durability:
        rows += [
            (
                str(durability),
                name,
                str(versions.get(name, {}).get(distributions.get(name, name), "")),
                *_peer(session, found[name]),
            )
            for name in sorted(session.peers, key=lambda name: -found[name].limit if name in found else 0.0)
            if session.peers[name] == durability and name in found
        ]
    meanings = "\n".join(f"- **{durability}**: {meaning}" for durability, meaning in MEANING.items())
    absent = "".join(f"- {name}: {reason}\n" for name, reason in session.told.get("absent", {}).items())
    return f"Run {session.letter}:\n\n{table(_TITLES, rows, left=3)}\n{meanings}\n" + (
        f"\nWithout a figure:\n\n{absent}" if absent else ""
    )


def _peer(session: Session, figure: Figure) -> tuple[str, ...]:
    (side,) = [one for one in session.sides if one.name == figure.beside]
    cpu = side.cpu()
    worker = cpu.pop("worker", None)
    return (
        number(figure.limit),
        number(figure.value),
        spread(figure),
        "" if worker is None else number(worker),
        number(sum(cpu.values())) if cpu else "",
        *(known(side.fact(name)) for name in ("worker_memory_mb", "wal_bytes_per_task", "tasks")),
    )
