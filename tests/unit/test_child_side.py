from __future__ import annotations

import os
import pickle
import socket
from types import SimpleNamespace

import pytest

from sluice.consumer.runs.cpu import answers, process
from tests.unit import cpu_handlers


class RefusesNotes(Exception):
    def add_note(self, note: str) -> None:
        raise TypeError(note)


@pytest.mark.parametrize("error", [RefusesNotes("x"), cpu_handlers.TwoArguments("a", "b")], ids=repr)
def test_an_exception_always_travels_somehow(error: Exception) -> None:
    succeeded, arrived = pickle.loads(answers.failed(error))  # noqa: S301 - made on this line
    assert not succeeded
    assert isinstance(arrived, RuntimeError)
    assert str(arrived) == f"{type(error).__name__}: {error}"


def test_a_child_whose_consumer_was_killed_ends_in_silence() -> None:
    ours, theirs = socket.socketpair()
    with pytest.MonkeyPatch.context() as patched:
        for name in (
            "os.setpgid",
            "die_with_parent",
            "set_forks_apart",
            "signal.signal",
            "signal.siginterrupt",
        ):
            patched.setattr(f"sluice.consumer.runs.cpu.process.{name}", lambda *_: None)
        patched.setattr("sluice.consumer.runs.cpu.process.log.configure", lambda *_, **__: None)
        ctx = SimpleNamespace(attempt=1, canceled=False)
        request = pickle.dumps((cpu_handlers.__name__, "answer", ctx, {}))
        ours.sendall(process.SIZE.pack(len(request)) + request)
        ours.close()
        with theirs:
            process.live(theirs, os.getppid())
