"""`deploy/image-test`: builds the image without a daemon, runs every role from it, and leaves nothing but a cache.

Needs root on Linux. Elsewhere it says SKIP, and exits 1 under CI, where a skip would hide a broken image.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import httpx2

from deploy.image_test import scenario
from deploy.image_test.base import archive, install_tools
from deploy.image_test.build import Store
from deploy.image_test.pip_access import pip_access
from deploy.image_test.steps import Failure, step
from sluice.core.errors import SluiceError

REPOSITORY = Path(__file__).parents[2]


def main() -> int:
    """Exit status: 0 passed or skipped, 1 after a line on stderr that says what does not hold."""
    if sys.platform != "linux" or os.geteuid() != 0:
        reason = "needs root on Linux: it makes namespaces and a base image"
        if os.environ.get("CI"):
            print(f"image-test: failed: {reason}", file=sys.stderr)
            return 1
        print(f"image-test: SKIP: {reason}")
        return 0
    signal.signal(signal.SIGTERM, _leave)
    started = time.monotonic()
    try:
        with _workplace() as work:
            install_tools()
            store = Store(work)
            store.import_base(archive(work))
            access = pip_access(work)
            image = store.build(REPOSITORY, access.options)
            scenario.run(image, work=work, addresses=access.addresses)
    except (Failure, SluiceError, httpx2.HTTPError) as failure:
        print(f"image-test: failed: {failure}", file=sys.stderr)
        return 1
    print(f"image-test: passed in {time.monotonic() - started:.0f} s")
    return 0


@contextmanager
def _workplace() -> Iterator[Path]:
    """A directory that goes again, with all that the build tools left elsewhere."""
    # buildah keeps a note of layers it has seen there, wherever its store is.
    notes = Path("/var/lib/containers")
    noted_before = notes.exists()
    # On disk: /tmp may be small, and may refuse device files. Entered by the servers' unprivileged user.
    work = Path(tempfile.mkdtemp(prefix="sluice-image-", dir="/var/tmp"))
    work.chmod(0o755)
    try:
        yield work
    finally:
        mounted = [line for line in Path("/proc/mounts").read_text().splitlines() if f" {work}/" in line]
        if mounted:
            print(f"image-test: left in place, still mounted there: {mounted[0]}", file=sys.stderr)
        else:
            with step("build products removed"):
                shutil.rmtree(work)
        if not noted_before:
            shutil.rmtree(notes, ignore_errors=True)


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
