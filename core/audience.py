"""Who a hint is for: the live consumers that serve both its queue and its kind. Values only; reads no store.

Consumers with the same queues and kinds have one signature. The audience of a task is the set of live signatures that
serve it; its ready list is named by that set, by the queue while all of them name few, and by the priority. One version
of the code makes one audience, a rolling deploy two or three, so a pop names a handful of lists whatever the number of
queues. No consumer can take a hint that it could not run, and what nobody serves has no list.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import orjson

from sluice.core.task import Kind, QueueName, ReadyList
from sluice.core.unserved import Unserved

if TYPE_CHECKING:
    from collections.abc import Iterable

FEW_QUEUES = 8
"""Up to so many queues of a consumer have lists of their own and take turns; more share one, in order of arrival."""
_REMEMBERED = 10_000
"""Lists that are looked up without making their name again: clients choose the names of queues."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What consumers say that they serve. Those that say the same are one to a hint."""

    name: str
    queues: frozenset[QueueName]
    kinds: frozenset[Kind]

    @classmethod
    def of(cls, queues: Iterable[QueueName], kinds: Iterable[Kind]) -> Signature:
        """The signature of a consumer of these queues and kinds, in whatever order it names them."""
        served = frozenset(queues), frozenset(kinds)
        return cls(_digest([sorted(names) for names in served]), *served)

    def serves(self, queue: QueueName, kind: Kind) -> bool:
        """Whether a task of this queue and kind is for it."""
        return queue in self.queues and kind in self.kinds


class Audiences:
    """Every audience that these live signatures make. Whoever finds none for a task says so to `unserved`."""

    def __init__(self, live: Iterable[Signature] = (), unserved: Unserved | None = None) -> None:
        self.unserved = unserved or Unserved()
        self._live = sorted(live, key=lambda signature: signature.name)
        self._lists: dict[tuple[QueueName, Kind, int], ReadyList | None] = {}

    def serves(self, queue: QueueName, kind: Kind) -> bool:
        """Whether a live consumer serves both."""
        return any(signature.serves(queue, kind) for signature in self._live)

    def list_of(self, queue: QueueName, kind: Kind, priority: int) -> ReadyList | None:
        """Where the hint of such a task goes; None when no live consumer serves it."""
        key = (queue, kind, priority)
        try:
            return self._lists[key]
        except KeyError:
            if len(self._lists) >= _REMEMBERED:
                self._lists.clear()
        audience = [signature for signature in self._live if signature.serves(queue, kind)]
        found = ready_list(_stream(audience, queue), priority) if audience else None
        self._lists[key] = found
        return found

    def streams(self, me: Signature) -> list[str]:
        """The names, priority apart, of all lists that a consumer of this signature hears."""
        live = {signature.name: signature for signature in (*self._live, me)}
        of_kinds = {frozenset(name for name in live if kind in live[name].kinds) for kind in me.kinds}
        found = set()
        for queue in me.queues:
            of_queue = frozenset(name for name in live if queue in live[name].queues)
            for names in {of_queue & of_kind for of_kind in of_kinds}:
                found.add(_stream([live[name] for name in sorted(names)], queue))
        return sorted(found)


def ready_list(stream: str, priority: int) -> ReadyList:
    """The list of one stream at one priority."""
    return ReadyList(f"{stream}:{priority}")


def _stream(audience: list[Signature], queue: QueueName) -> str:
    """The name that an audience's lists share. `audience` is sorted by name, and not empty."""
    name = audience[0].name if len(audience) == 1 else _digest([signature.name for signature in audience])
    few = all(len(signature.queues) <= FEW_QUEUES for signature in audience)
    return f"{name}:{queue}" if few else name


def _digest(value: object) -> str:
    return sha256(orjson.dumps(value)).hexdigest()[:12]
