"""Cursors: every id has one, one cursor stands for one id, and nothing else is a cursor."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.api.pagination import from_cursor, to_cursor
from sluice.core.task import TaskId

IDS = st.uuids().map(TaskId)


@given(IDS)
def test_a_cursor_brings_its_id_back_and_needs_no_quoting(task_id: TaskId) -> None:
    cursor = to_cursor(task_id)

    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", cursor)
    assert from_cursor(cursor) == task_id


@given(st.text(max_size=30) | st.text("ABab09-_=+/", min_size=20, max_size=24))
def test_whatever_else_is_refused_or_is_the_one_cursor_of_its_id(text: str) -> None:
    try:
        task_id = from_cursor(text)
    except ValueError:
        return
    assert to_cursor(task_id) == text


@pytest.mark.parametrize("text", ["A" * 21 + "B", "A" * 22 + "==", "A" * 21, "A" * 21 + "é", "A" * 22 + "\n"])
def test_near_misses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="next_cursor"):
        from_cursor(text)
