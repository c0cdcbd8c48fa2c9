"""A hint reaches exactly those who can run it, whatever consumers are alive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluice.core.audience import FEW_QUEUES, Audiences, Signature
from sluice.core.task import Kind, QueueName

queues = st.sets(st.sampled_from([QueueName(f"q{n}") for n in range(12)]), min_size=1)
kinds = st.sets(st.sampled_from([Kind(f"k{n}") for n in range(5)]), min_size=1)
signatures = st.builds(Signature.of, queues, kinds)
fleets = st.lists(signatures, max_size=6)


def heard(audiences: Audiences, one: Signature, priority: int) -> set[str]:
    return {f"{stream}:{priority}" for stream in audiences.streams(one)}


@given(fleets, st.integers(0, 11), st.integers(0, 4), st.integers(0, 9))
def test_a_hint_is_heard_by_all_who_serve_its_task_and_by_nobody_else(
    fleet: list[Signature], queue: int, kind: int, priority: int
) -> None:
    audiences = Audiences(set(fleet))
    task = QueueName(f"q{queue}"), Kind(f"k{kind}")
    found = audiences.list_of(*task, priority)
    assert (found is None) == (not any(one.serves(*task) for one in fleet))
    for one in fleet:
        assert (found in heard(audiences, one, priority)) == one.serves(*task)


@given(fleets, signatures)
def test_who_does_not_know_yet_that_it_is_alive_hears_what_others_will_send_it(
    fleet: list[Signature], me: Signature
) -> None:
    assert Audiences(fleet).streams(me) == Audiences([*fleet, me]).streams(me)


@given(st.permutations(range(6)), st.permutations(range(4)))
def test_the_order_in_which_names_are_said_means_nothing(of_queues: list[int], of_kinds: list[int]) -> None:
    said = Signature.of([QueueName(f"q{n}") for n in of_queues], [Kind(f"k{n}") for n in of_kinds])
    assert said == Signature.of([QueueName(f"q{n}") for n in range(6)], [Kind(f"k{n}") for n in range(4)])


@given(st.integers(1, 40))
def test_a_consumer_of_many_queues_hears_few_lists(n: int) -> None:
    one = Signature.of([QueueName(f"q{at}") for at in range(n)], [Kind("k")])
    assert len(Audiences([one]).streams(one)) == (n if n <= FEW_QUEUES else 1)
