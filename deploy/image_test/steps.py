"""Says what the image test is doing and how long each step took; it refuses to decide what a failure means."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

LINES_SHOWN = 40


class Failure(Exception):
    """The image test cannot go on; the message is for the terminal, as it stands."""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print the step with its duration in seconds when it has ended, well or not."""
    started = time.monotonic()
    verdict = "FAILED"
    try:
        yield
        verdict = "ok"
    finally:
        print(f"  {verdict:<6} {time.monotonic() - started:6.1f} s  {title}", flush=True)


def command(*words: str | Path, log: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return its standard output.

    Raises Failure with the last lines of what it said. `log` takes both outputs instead; then nothing is returned.
    """
    argv: Sequence[str] = [str(word) for word in words]
    try:
        if log is None:
            done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
            said = done.stdout + done.stderr
        else:
            with log.open("ab") as sink:
                done = subprocess.run(argv, env=env, stdout=sink, stderr=sink, text=True, check=False)
            said = log.read_text(errors="replace")
    except FileNotFoundError as missing:
        raise Failure(f"{argv[0]} is not installed") from missing
    if done.returncode != 0:
        raise Failure(f"{argv[0]} exited {done.returncode}:\n{last_lines(said)}")
    return done.stdout or ""


def last_lines(text: str) -> str:
    """The end of a long output, indented."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-LINES_SHOWN:])
