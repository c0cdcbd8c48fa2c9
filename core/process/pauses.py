"""How long to wait before a process that ended is started again. Starts nothing, and waits for nothing."""

from __future__ import annotations


class Pauses:
    """`first` seconds, and twice as many each time that what was started ended quickly, up to `longest`.

    What lasted for `quick` seconds was well, and the next pause is the first again.
    """

    def __init__(self, first: float, longest: float, *, quick: float) -> None:
        self._first = first
        self._longest = longest
        self._quick = quick
        self.reset()

    def reset(self) -> None:
        """Begin with the first again."""
        self._next = self._first

    def after(self, lasted: float) -> float:
        """Return the pause after an end that came so many seconds after the start."""
        if lasted >= self._quick:
            self.reset()
        pause = self._next
        self._next = min(2 * pause, self._longest)
        return pause
