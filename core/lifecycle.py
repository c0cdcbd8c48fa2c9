"""The state machine, as one table. The CHECK, the statements and the picture in the docs are tested against it.

pending --claim--> processing --finish--------> completed
^  |                   |  '-----fail, reap----> failed
|  |                   '--------cancel--------> canceled
|  '----------------------------cancel--------> canceled
'---- give_back, fail (attempts left), reap --- processing
'---- retry ----------------------------------- failed, canceled
"""

from __future__ import annotations

from typing import NamedTuple

from sluice.core.task import Status


class Transition(NamedTuple):
    """What a verb may move from, and to."""

    sources: frozenset[Status]
    targets: frozenset[Status]


def _edge(sources: set[Status], targets: set[Status]) -> Transition:
    return Transition(frozenset(sources), frozenset(targets))


TRANSITIONS: dict[str, Transition] = {
    "claim": _edge({Status.PENDING}, {Status.PROCESSING}),
    "finish": _edge({Status.PROCESSING}, {Status.COMPLETED}),
    "fail": _edge({Status.PROCESSING}, {Status.PENDING, Status.FAILED}),
    "give_back": _edge({Status.PROCESSING}, {Status.PENDING}),
    "reap": _edge({Status.PROCESSING}, {Status.PENDING, Status.FAILED}),
    "cancel": _edge({Status.PENDING, Status.PROCESSING}, {Status.CANCELED}),
    "retry": _edge({Status.FAILED, Status.CANCELED}, {Status.PENDING}),
}
