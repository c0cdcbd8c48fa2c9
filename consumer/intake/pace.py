"""How fast handlers are, as far as one number says it: whether it pays to have ids at hand before slots are free."""

from __future__ import annotations

_FAST_SECONDS = 0.01
"""A handler this short is over before the next pop's answer is here. Not tuned finely: 5 to 20 ms behave alike."""
_WEIGHT = 1 / 16


class Pace:
    """An exponentially weighted mean of the handlers' durations, in seconds."""

    def __init__(self) -> None:
        self._mean: float | None = None

    def __call__(self, seconds: float) -> None:
        """A handler took this long."""
        self._mean = seconds if self._mean is None else self._mean + (seconds - self._mean) * _WEIGHT

    def forget(self) -> None:
        """What was known of them no longer holds."""
        self._mean = None

    @property
    def fast(self) -> bool:
        """Whether look-ahead pays. False until a handler has shown it."""
        return self._mean is not None and self._mean < _FAST_SECONDS
