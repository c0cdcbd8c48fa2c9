from __future__ import annotations

import multiprocessing
import pickle
from types import SimpleNamespace
from typing import cast

import pytest

from consumer.child import _child_main, _pickled_error
from consumer.context import DetachedContext
from tests.unit import cpu_handlers


class RefusesNotes(Exception):
    def add_note(self, note: str) -> None:
        raise TypeError(note)


@pytest.mark.parametrize("error", [RefusesNotes("x"), cpu_handlers.TwoArguments("a", "b")], ids=repr)
def test_an_exception_always_travels_somehow(error: Exception) -> None:
    succeeded, arrived = pickle.loads(_pickled_error(error))  # noqa: S301 - made on this line
    assert not succeeded
    assert isinstance(arrived, RuntimeError)
    assert str(arrived) == f"{type(error).__name__}: {error}"


def test_a_child_whose_consumer_was_killed_ends_in_silence() -> None:
    ours, theirs = multiprocessing.get_context("forkserver").Pipe(duplex=False)
    ours.close()
    with pytest.MonkeyPatch.context() as patched:
        for name in ("die_with_parent", "_let_fork_server_go", "signal.signal", "log.configure"):
            patched.setattr(f"consumer.child.{name}", lambda *_: None)
        ctx = cast("DetachedContext", SimpleNamespace(attempt=1, canceled=False))
        _child_main(theirs, cpu_handlers.__name__, "answer", ctx, {})
    assert theirs.closed
