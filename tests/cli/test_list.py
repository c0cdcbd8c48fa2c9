"""`sluice list`, from a pipe and on a terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sluice.cli.listing import WATCH_SECONDS, Pages
from tests.cli.support import Command, Ended, ended
from tests.support.launching import Process


async def _submitted(sluice: Command, queue: str, *arguments: str) -> list[str]:
    result = await sluice("submit", "--kind", "echo", "--queue", queue, *arguments)
    assert result.status == 0, result
    return result.stdout.split()


async def _list(sluice: Command, queue: str, *arguments: str) -> Ended:
    return await sluice("list", "--queue", queue, *arguments)


async def test_ids_alone_are_one_a_line_for_another_command(asking: Command) -> None:
    ids = await _submitted(asking, "ids", "--count", "3")
    listed = await _list(asking, "ids", "-q")
    assert listed == Ended(0, "".join(f"{task_id}\n" for task_id in reversed(ids)), "")
    canceled = await asking("cancel", *listed.stdout.split())
    assert canceled.status == 0
    assert await _list(asking, "ids", "-q", "--status", "pending") == Ended(0, "", "no task matches\n")


@pytest.mark.parametrize("how", [[], ["-q"]], ids=["table", "ids"])
async def test_a_list_that_is_cut_says_so_on_stderr_and_what_to_type(asking: Command, how: list[str]) -> None:
    queue = f"cut{len(how)}"
    await _submitted(asking, queue, "--count", "3")
    cut = await _list(asking, queue, "--limit", "2", *how)
    assert cut.stderr == "2 tasks shown, there are more: --limit 20 or --all\n"
    assert len(cut.stdout.splitlines()) == 2 + (not how)
    for whole in (["--limit", "3"], ["--limit", "20"], ["--all"]):
        result = await _list(asking, queue, *whole, *how)
        assert result.stderr == ""
        assert len(result.stdout.splitlines()) == 3 + (not how)


async def test_since_keeps_what_was_created_within_it(asking: Command) -> None:
    [task_id] = await _submitted(asking, "since")
    for since in ("1h", "2000-01-01T00:00:00Z", "2000-01-01T00:00:00+02:00"):
        assert (await _list(asking, "since", "-q", "--since", since)).stdout.split() == [task_id]
    assert (await _list(asking, "since", "-q", "--since", "2200-01-01T00:00:00Z")).stdout == ""
    refused = await _list(asking, "since", "--since", "2030-02-30T00:00:00Z")
    assert (refused.status, refused.stdout) == (1, "")
    assert "since: " in refused.stderr


@pytest.mark.parametrize(
    "arguments", [["--since", "soon"], ["-q", "-o", "json"], ["--watch", "-o", "json"], ["--watch", "-q"]]
)
async def test_what_cannot_be_listed_so_is_wrong_usage(asking: Command, arguments: list[str]) -> None:
    result = await asking("list", *arguments)
    assert (result.status, result.stdout) == (2, "")


async def test_a_delay_may_name_its_unit(asking: Command) -> None:
    [task_id] = await _submitted(asking, "delay", "--delay", "90m")
    listed = await _list(asking, "delay")
    assert re.search(rf"^{task_id} .* due in 1h$", listed.stdout, re.MULTILINE)


async def test_failed_and_retrying_tasks_show_the_first_line_of_their_error(asking: Command) -> None:
    failing = ("submit", "--kind", "fail", "--payload", '{"times": 9}', "--max-attempts")
    assert (await asking(*failing, "1", "--wait")).status == 1
    retrying = (await asking(*failing, "9")).stdout.strip()
    error = r"RuntimeError: failing try \d of 9, as asked for"
    failed = await asking("list", "--kind", "fail", "--status", "failed", "--limit", "1")
    assert re.search(f" 1/1 .*  {error}$", failed.stdout, re.MULTILINE)
    while not re.search(
        rf"^{retrying} +pending .* due in \d+s  {error}$", await _table(asking), re.MULTILINE
    ):
        await asyncio.sleep(0.05)
    assert (await asking("cancel", retrying)).status == 0


async def _table(sluice: Command) -> str:
    return (await sluice("list", "--kind", "fail")).stdout


async def test_watch_without_a_terminal_is_wrong_usage(asking: Command) -> None:
    result = await asking("list", "--watch")
    assert (result.status, result.stdout) == (2, "")
    assert "terminal" in result.stderr


async def test_watch_draws_what_changes_until_ctrl_c(asking: Command) -> None:
    [task_id] = await _submitted(asking, "watched", "--delay", "600")
    with _terminal(columns=80, rows=10) as (ours, theirs):
        process = await asking.start(
            *("list", "--watch", "--queue", "watched"), stdout=theirs, env={"TERM": "xterm"}
        )
        seen = await _read_until(ours, task_id, process)
        assert "due in 9m" in seen, "a narrow terminal has a line for it"
        assert (await asking("cancel", task_id)).status == 0
        await _read_until(ours, "canceled", process)
        process.send_signal(signal.SIGINT)
        result = await ended(process)
    assert result.status == 130
    assert "Traceback" not in result.stderr
    assert WATCH_SECONDS <= 2


@contextmanager
def _terminal(*, columns: int, rows: int) -> Iterator[tuple[int, int]]:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.set_blocking(ours, False)
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


async def _read_until(terminal: int, sign: str, process: Process) -> str:
    seen = ""
    async with asyncio.timeout(30):
        while sign not in seen:
            assert process.returncode is None, seen
            try:
                seen += os.read(terminal, 65536).decode(errors="replace")
            except BlockingIOError:
                await asyncio.sleep(0.05)
    return seen


def test_pages_say_that_there_are_more_only_when_there_are() -> None:
    """A filter reads a window a page: a page may be short, or empty, with others behind it."""
    pages = {None: ([1], "a"), "a": ([], "b"), "b": ([2, 3], "c"), "c": ([4], None)}

    class _Api:
        def page(
            self,
            *,
            cursor: str | None,
            limit: int,
            filters: object,  # noqa: ARG002 - as an Api takes it
        ) -> tuple[list[dict[str, int]], str | None]:
            numbers, following = pages[cursor]
            return [{"id": number} for number in numbers[:limit]], following

    for limit, shown, more in ((1, 1, True), (3, 3, True), (4, 4, False), (9, 4, False), (None, 4, False)):
        found = Pages(_Api(), {}, limit)  # type: ignore[arg-type] # what it calls of an Api
        assert sum(len(page) for page in found) == shown
        assert found.more is more
