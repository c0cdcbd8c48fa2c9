"""A stream that never makes its writer wait: a thread of its own writes to the file. Loses lines rather than time.

Whoever reads our log may stop reading. A loop that waited for it would stand still with everything that runs on it, and
the beat's thread would wait for the same lock.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable

MOST_BYTES = 4 << 20
"""Lines that wait; some ten thousand."""
_PIECE = 1 << 16
_STUCK_SECONDS = 0.2
"""A reader that took nothing for so long has stopped."""
_ROOM_SECONDS = 0.05


class Background:
    """As much of a text stream as logging needs. `lost` makes the line that tells how many were lost."""

    def __init__(self, fd: int, lost: Callable[[int], str]) -> None:
        self._fd = fd
        self._lost = lost
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """Start anew, in a child without what its parent has still to write."""
        self._changed = threading.Condition()
        self._waiting = bytearray()
        self._dropped = 0
        self._writing = 0
        self._moved_at = time.monotonic()
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> int:
        """Have `text` written. With a reader that goes on reading, a flood waits for room now and then."""
        data = text.encode("utf-8", "backslashreplace")
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            if self._full(data) and not self._stuck():
                self._changed.wait_for(lambda: not self._full(data), _ROOM_SECONDS)
            if self._full(data):
                self._dropped += 1
                return len(text)
            if not self._waiting and not self._writing:
                self._moved_at = time.monotonic()
            self._waiting += data
            self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """What logging calls after each line; the thread is at it."""

    def drain(self, seconds: float) -> bool:
        """Whether everything was written within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._writing, seconds)

    def _full(self, data: bytes) -> bool:
        return bool(self._waiting) and len(self._waiting) + self._writing + len(data) > MOST_BYTES

    def _stuck(self) -> bool:
        return time.monotonic() - self._moved_at > _STUCK_SECONDS

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                piece, self._waiting = bytes(self._waiting), bytearray()
                self._writing, dropped, self._dropped = len(piece), self._dropped, 0
            self._put(piece)
            if dropped:
                self._put(self._lost(dropped).encode())
            with self._changed:
                self._writing = 0
                self._changed.notify_all()

    def _put(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                done = os.write(self._fd, left[:_PIECE])
            except BlockingIOError:  # somebody else made the file so
                select.select([], [self._fd], [], 1)
                continue
            except OSError:  # nobody reads any more, and there is nowhere to say it
                return
            left = left[done:]
            with self._changed:
                self._moved_at = time.monotonic()
                self._writing = len(left)
                self._changed.notify_all()
