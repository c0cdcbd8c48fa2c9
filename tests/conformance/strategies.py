"""What operations are drawn from: few ids, consumers and lanes, so that operations meet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from sluice.core.task import ConsumerId, JsonText, Kind, NewTask, QueueName, TaskId
from sluice.db.claims import Lane
from sluice.db.rows import Place
from sluice.db.upkeep import BEGINNING
from tests.support.clocked import ORIGIN

seconds = st.sampled_from([0.0, 0.000001, 0.5, 1.0, 2.0, 5.0])
durations = seconds.map(lambda found: timedelta(seconds=found))
ids = st.integers(1, 8).map(lambda n: TaskId(UUID(int=n)))
consumers = st.integers(101, 103).map(lambda n: ConsumerId(UUID(int=n)))
kinds = st.sampled_from([Kind("a"), Kind("b")])
some_kinds = st.lists(kinds, unique=True, max_size=2)
queues = st.sampled_from([QueueName("p"), QueueName("q")])
lanes = st.builds(Lane, queues, kinds, st.sampled_from([0, 5, 9]))
limits = st.sampled_from([1, 2, 100])
steps = st.sampled_from(["s", "t"])
json = st.sampled_from([JsonText("1"), JsonText('{"a": [null]}'), JsonText('"\\u00e9"')])
results = st.none() | json | st.just(JsonText("{"))
timeouts = st.sampled_from([0.001, 1.5, 60.0])
stale = st.sampled_from([0, 0, 0, 0, 1, 2, -1])
instants = seconds.map(lambda found: ORIGIN + timedelta(seconds=found))
places = st.just(BEGINNING) | st.builds(Place, instants, ids)
tasks = st.builds(
    NewTask,
    id=ids,
    kind=kinds,
    message=st.sampled_from([None, "m", "é\N{SNOWMAN}"]),
    queue=queues,
    priority=st.sampled_from([0, 5, 9]),
    payload=json,
    max_attempts=st.integers(1, 3),
    timeout=timeouts,
)
when = st.tuples(st.none(), st.none() | seconds) | st.tuples(instants, st.none())


def each(found: st.SearchStrategy[Any], most: int = 4) -> st.SearchStrategy[list[Any]]:
    """A few (id, staleness of the token, what else), each id once: of two writes to one row either may win."""
    return st.lists(st.tuples(ids, stale, found), unique_by=lambda one: one[0], min_size=1, max_size=most)
