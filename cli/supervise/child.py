"""One child process in a session of its own that dies with its parent. Restarts nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sluice.cli.supervise.account import Account

LAUNCHER = Path(__file__).with_name("launch.py")
EARLY = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
BOND = "auto" if sys.platform == "linux" else "pipe"


class Child:
    """A running child. Make it with `start`; whoever made it awaits `wait` or `stop` in the end."""

    def __init__(self, process: asyncio.subprocess.Process, bond: int) -> None:
        self._process = process
        self._bond = bond
        self.pid = process.pid

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        account: Account | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        stdin: int = asyncio.subprocess.DEVNULL,
        output: int = asyncio.subprocess.DEVNULL,
    ) -> Child:
        """Start `command` (a full path, then arguments), its stdout and stderr going to the descriptor `output`.

        `death_signal` reaches it when this process dies in whatever way. As the kernel ties that signal to the thread
        that forks, this must be the main thread (RuntimeError).
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "children are started from the main thread: they die with the thread that made them"
            )
        theirs, ours = os.pipe()
        # The launcher unblocks them once it would obey: one sent in its first milliseconds must not be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, EARLY)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal)), BOND),
                *(str(theirs), f"{account.uid}:{account.gid}" if account else "-", *command),
                stdin=stdin,
                stdout=output,
                stderr=output,
                env=dict(environment),
                pass_fds=(theirs,),
                start_new_session=True,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, EARLY)
            os.close(theirs)
        return cls(process, ours)

    @property
    def alive(self) -> bool:
        """Whether it has not been seen to end."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Its exit status, or minus the signal that ended it. Safe to cancel and to await from several places."""
        status = await self._process.wait()
        if self._bond >= 0:
            bond, self._bond = self._bond, -1
            with suppress(BrokenPipeError):
                os.write(bond, b".")
            os.close(bond)
        return status

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        if self.alive:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(
        self, number: signal.Signals = signal.SIGTERM, *, stop_timeout: float | None = None
    ) -> int:
        """Ask it to end, and wait; SIGKILL it after `stop_timeout` seconds, if any. Its exit status."""
        self.send(number)
        try:
            async with asyncio.timeout(stop_timeout):
                return await self.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
        return await self.wait()
