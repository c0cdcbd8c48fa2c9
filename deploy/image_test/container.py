"""Runs commands of the image the way a container runtime does, from its files alone.

A container here has namespaces of its own for mounts and processes (its command is process 1), a read-only root, an
empty /tmp, no capabilities, and the image's user, directory and environment. It refuses to isolate more than the test
needs: the network is the caller's.
"""

import asyncio
import os
import pty
import signal
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path

import psutil

from deploy.image_test.build import Image
from deploy.image_test.steps import Failure, last_lines

# $1 root, $2 user:group, $3 directory, $4 what lies there, or nothing; the command follows. The mounts end with the
# namespace.
_INSIDE = """
set -eu
root=$1; user=$2; directory=$3; project=$4; shift 4
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777,nodev,nosuid tmpfs "$root/tmp"
[ -z "$project" ] || mount --bind "$project" "$root$directory"
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid="${user%:*}" --regid="${user#*:}" --clear-groups \\
    --bounding-set=-all --inh-caps=-all --no-new-privs --pdeathsig=KILL -- env --chdir="$directory" -- "$@"
"""
# No process outlives the test, even one ended by SIGKILL. Said again inside: a change of user undoes it.
_TIED = ("setpriv", "--pdeathsig=KILL", "--")


class Container:
    """One container. `name` is for messages and the log file, `project` lies in the image's directory."""

    def __init__(
        self,
        image: Image,
        name: str,
        *,
        logs: Path,
        environment: Mapping[str, str],
        project: Path | None = None,
    ) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        self._image = image
        self._environment = {**image.environment, **environment}
        self._project = "" if project is None else str(project)
        self._supervisor: Process | None = None

    async def start(self, *words: str) -> None:
        """Start the command `words`, the image's own when there are none."""
        with self.log.open("ab") as sink:
            self._supervisor = await asyncio.create_subprocess_exec(
                *_TIED,
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "--"),
                *("sh", "-c", _INSIDE, "sh", str(self._image.root), self._image.user, self._image.workdir),
                self._project,
                *(words or self._image.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=self._environment,
            )

    async def run(self, *words: str, within: float) -> None:
        """Start the command and wait `within` seconds for its exit 0. Raises Failure otherwise."""
        await self.start(*words)
        await self.ended(within=within)

    async def stop(self, *, within: float) -> None:
        """Send the image's stop signal to process 1 and wait for its exit 0. Raises Failure otherwise."""
        self.process().send_signal(signal.Signals[self._image.stop_signal])
        await self.ended(within=within)

    async def ended(self, *, within: float) -> None:
        """Wait `within` seconds for exit 0. Raises Failure with the end of the log otherwise."""
        if self._supervisor is None:
            raise Failure(f"{self.name} was never started")
        try:
            async with asyncio.timeout(within):
                status = await self._supervisor.wait()
        except TimeoutError:
            raise self.failure(f"did not end within {within:g} s") from None
        if status != 0:
            raise self.failure(f"exited {status}")

    def alive(self) -> bool:
        """Whether its command still runs."""
        return self._supervisor is not None and self._supervisor.returncode is None

    def process(self) -> psutil.Process:
        """Process 1 of the container, as this machine sees it. Raises Failure when there is none."""
        if self._supervisor is not None and self.alive():
            for child in psutil.Process(self._supervisor.pid).children():
                return child
        raise self.failure("has ended")

    async def execute(self, *words: str) -> "Executed":
        """Start one more command in the running container, on a terminal, as `docker exec -it` does."""
        here, there = pty.openpty()
        user, _, group = self._image.user.partition(":")
        try:
            process = await asyncio.create_subprocess_exec(
                *_TIED,
                *("nsenter", f"--target={self.process().pid}", "--mount", "--pid", "--root", "--wd"),
                *(f"--setuid={user}", f"--setgid={group}", "--", *words),
                stdin=there,
                stdout=there,
                stderr=there,
                env=self._environment,
                start_new_session=True,
            )
        finally:
            os.close(there)
        return Executed(process, here)

    async def kill(self) -> None:
        """End it without asking; nothing when it has ended."""
        if self._supervisor is not None and self.alive():
            self._supervisor.kill()
            await self._supervisor.wait()

    def failure(self, what: str) -> Failure:
        """What to raise about this container, with the end of its log."""
        said = self.log.read_text(errors="replace") if self.log.exists() else ""
        return Failure(f"{self.name} {what}; it said:\n{last_lines(said)}")


class Executed:
    """A command started in a running container, and its terminal."""

    def __init__(self, process: Process, terminal: int) -> None:
        self._process = process
        self._terminal = terminal
        self._said = bytearray()
        os.set_blocking(terminal, False)
        asyncio.get_running_loop().add_reader(terminal, self._listen)

    def interrupt(self) -> None:
        """What Ctrl-C does: SIGINT to the command itself."""
        for child in psutil.Process(self._process.pid).children():
            child.send_signal(signal.SIGINT)

    async def ended(self, *, within: float, status: int = 0) -> None:
        """Wait `within` seconds for that exit status. Raises Failure with what it said otherwise."""
        try:
            async with asyncio.timeout(within):
                found = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            found = await self._process.wait()
        self._listen()
        asyncio.get_running_loop().remove_reader(self._terminal)
        os.close(self._terminal)
        said = self._said.decode(errors="replace")
        if found != status:
            raise Failure(
                f"a command in the container ended with {found}, not with {status} within {within:g} s, and said:\n"
                f"{last_lines(said)}"
            )

    def _listen(self) -> None:
        # Linux says EIO, not end of file, once nobody holds the other side.
        try:
            while some := os.read(self._terminal, 65536):
                self._said += some
        except BlockingIOError:
            return
        except OSError:
            asyncio.get_running_loop().remove_reader(self._terminal)
