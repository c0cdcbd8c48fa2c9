from __future__ import annotations

from sluice.consumer.intake.lists import LINGERS_SECONDS, MOST_STREAMS, Lists
from sluice.core.audience import Audiences, Signature
from sluice.core.task import Kind, QueueName
from tests.unit.support import Clock


class Roster:
    """Who is alive, as a test says."""

    def __init__(self, *live: Signature) -> None:
        self.audiences = Audiences(live)


def sign(queues: str, kinds: str) -> Signature:
    return Signature.of([QueueName(name) for name in queues.split()], [Kind(name) for name in kinds.split()])


def test_the_highest_priority_is_asked_first_and_within_it_another_queue_each_time() -> None:
    me = sign("a b c", "echo")
    lists = Lists(me, Roster(), Clock())
    four = [lists.next() for _ in range(4)]

    assert [int(ready[-1]) for ready in four[0]] == [p for p in range(9, -1, -1) for _ in range(3)]
    assert len({turn[0] for turn in four}) == 3
    assert four[3] == four[0]
    assert all(set(turn) == set(four[0]) for turn in four)


def test_a_consumer_hears_its_own_list_before_it_knows_of_anybody() -> None:
    me = sign("default", "echo")
    expected = Audiences([me]).list_of(QueueName("default"), Kind("echo"), 5)
    assert expected in Lists(me, Roster(), Clock()).next()


def test_a_stream_is_heard_for_a_while_after_its_audience_is_gone() -> None:
    me, other, clock = sign("default", "a b"), sign("default", "b"), Clock()
    roster = Roster(me, other)
    shared = roster.audiences.list_of(QueueName("default"), Kind("b"), 5)
    lists = Lists(me, roster, clock)
    assert shared in lists.next()
    clock.move(1000)
    roster.audiences = Audiences([me])
    assert shared in lists.next(), "it was valid until this moment"
    clock.move(LINGERS_SECONDS + 1)
    roster.audiences = Audiences([me])
    assert shared not in lists.next()


def test_with_many_audiences_a_pop_asks_a_bounded_number_and_all_of_them_in_turn() -> None:
    me = sign("default", " ".join(f"k{n}" for n in range(100)))
    others = [sign("default", f"k{n}") for n in range(100)]
    roster = Roster()
    lists = Lists(me, roster, Clock())
    roster.audiences = Audiences([me, *others])
    asked = [lists.next() for _ in range(101)]
    assert max(map(len, asked)) == 10 * MOST_STREAMS
    assert len(set().union(*asked)) == 10 * 101
