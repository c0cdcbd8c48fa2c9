from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import hypothesis.strategies as st
from hypothesis import example, given

from core.task import FencingToken, TaskId
from db.keys import Keys
from db.ready import decode
from db.signals import _decode

KEYS = Keys("sluice")
CANCELS, DELAYED = KEYS.cancels.encode(), KEYS.delayed.encode()

ids = st.uuids().map(TaskId)
almost_ids = st.from_regex(rb"[0-9a-fA-F{}urnid: \n-]{30,40}", fullmatch=True)
entries = st.binary(max_size=50) | almost_ids | st.uuids().map(lambda found: str(found).upper().encode())
messages = st.one_of(
    st.binary(max_size=120),
    st.tuples(almost_ids | st.uuids().map(lambda found: str(found).encode()), st.binary(max_size=40)).map(
        b" ".join
    ),
    st.floats().map(lambda number: repr(number).encode()),
    st.none() | st.integers() | st.text(max_size=10),
)


@given(ids)
def test_an_id_in_a_list_is_read_as_it_was_written(task_id: TaskId) -> None:
    assert decode(str(task_id).encode()) == task_id


@given(entries)
@example(b"00000000-0000-0000-0000-000000000001\n")
@example("\N{ARABIC-INDIC DIGIT ZERO}0000000-0000-0000-0000-000000000001".encode())
def test_whatever_else_is_found_in_a_list_is_nothing(entry: bytes) -> None:
    found = decode(entry)
    assert found is None or (type(found) is UUID and str(found).encode() == entry)


@given(ids, st.integers(0, 2**63 - 1))
def test_a_cancel_is_read_as_it_was_sent(task_id: TaskId, token: int) -> None:
    assert _decode(KEYS, CANCELS, f"{task_id} {token}".encode()) == (task_id, FencingToken(token))


@given(st.timedeltas(timedelta(), timedelta(seconds=1)))
def test_a_delay_is_read_as_it_was_sent(due_in: timedelta) -> None:
    assert _decode(KEYS, DELAYED, f"{due_in.total_seconds():.6f}".encode()) == due_in


@given(st.sampled_from([CANCELS, DELAYED]) | st.binary(max_size=30), messages)
@example(CANCELS, b"00000000-0000-0000-0000-000000000001 " + b"9" * 60)
@example(DELAYED, b"1e-400")
def test_no_message_whatever_breaks_the_listener(channel: bytes, data: object) -> None:
    found = _decode(KEYS, channel, data)

    if channel == DELAYED:
        assert found is None or (
            isinstance(found, timedelta) and timedelta() <= found <= timedelta(seconds=1)
        )
    elif found is not None:
        assert isinstance(found, tuple)
        assert [type(part) for part in found] == [UUID, int]
