"""The stream behind the log: a reader that stops costs lines and no time, and is told how many it lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from sluice.core.telemetry.background import MOST_BYTES, Background

LINE = "x" * 999 + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends, as numbers."""
    theirs, ours = os.pipe()
    yield theirs, ours
    for fd in (theirs, ours):
        os.close(fd)


def stream_to(fd: int) -> Background:
    return Background(fd, lambda n: f"lost {n}\n")


def test_lines_arrive_in_their_order(pipe: tuple[int, int]) -> None:
    theirs, ours = pipe
    stream = stream_to(ours)
    for n in range(100):
        stream.write(f"{n}\n")
    assert stream.drain(5)
    assert os.read(theirs, 1 << 16).split() == [b"%d" % n for n in range(100)]


def test_a_reader_that_stops_costs_lines_and_no_time(pipe: tuple[int, int]) -> None:
    theirs, ours = pipe
    stream = stream_to(ours)
    began = time.monotonic()
    written = 2 * MOST_BYTES // len(LINE)
    for _ in range(written):
        stream.write(LINE)
    assert time.monotonic() - began < 3
    assert not stream.drain(0.05)

    read = b""
    while b"lost" not in read:
        read += os.read(theirs, 1 << 16)
    kept = read.count(b"\n") - 1
    assert MOST_BYTES // len(LINE) - 1 <= kept < written
    assert read.endswith(b"lost %d\n" % (written - kept))
    stream.write("after\n")
    assert os.read(theirs, 1 << 16) == b"after\n"


def test_a_reader_that_goes_on_reading_loses_nothing(pipe: tuple[int, int]) -> None:
    theirs, ours = pipe
    stream = stream_to(ours)
    wanted = 4 * MOST_BYTES // len(LINE) * len(LINE)
    read = 0

    def follow() -> None:
        nonlocal read
        while read < wanted:
            read += len(os.read(theirs, 1 << 16))

    reader = threading.Thread(target=follow)
    reader.start()
    for _ in range(wanted // len(LINE)):
        stream.write(LINE)
    reader.join(20)
    assert read == wanted


def test_a_reader_that_has_gone_costs_nothing(pipe: tuple[int, int]) -> None:
    theirs, ours = os.pipe()
    os.close(theirs)
    stream = stream_to(ours)
    stream.write(LINE)
    assert stream.drain(5)
    os.close(ours)
