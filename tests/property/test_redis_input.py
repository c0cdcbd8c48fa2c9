from __future__ import annotations

from uuid import UUID

import hypothesis.strategies as st
from hypothesis import example, given

from sluice.core.task import FencingToken, TaskId
from sluice.db.ready import decode
from sluice.db.signals import _decode

ids = st.uuids().map(TaskId)
almost_ids = st.from_regex(rb"[0-9a-fA-F{}urnid: \n-]{30,40}", fullmatch=True)
entries = st.binary(max_size=50) | almost_ids | st.uuids().map(lambda found: str(found).upper().encode())
messages = st.one_of(
    st.binary(max_size=120),
    st.tuples(almost_ids | st.uuids().map(lambda found: str(found).encode()), st.binary(max_size=40)).map(
        b" ".join
    ),
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
    assert _decode(f"{task_id} {token}".encode()) == (task_id, FencingToken(token))


@given(messages)
@example(b"00000000-0000-0000-0000-000000000001 " + b"9" * 60)
def test_no_message_whatever_breaks_the_listener(data: object) -> None:
    found = _decode(data)
    assert found is None or [type(part) for part in found] == [UUID, int]
