"""The order to stop, as one value that all parts of a process share. Handles no signal and waits for nothing."""

from __future__ import annotations

import asyncio


class StopOrder:
    """`asked` begins the stop, `forced` skips its waiting. `cut_off`: whether that broke something off."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.forced = asyncio.Event()
        self.cut_off = False

    def ask(self) -> None:
        """Ask once to stop, twice to hurry."""
        if self.asked.is_set():
            self.forced.set()
        self.asked.set()

    def begin(self) -> None:
        """Ask to stop; once more says nothing new."""
        self.asked.set()
