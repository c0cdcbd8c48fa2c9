from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from typing import Any

import pytest

from tests.cli.support import Command, ended

ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
SLEEP = ("--kind", "sleep", "--payload", '{"seconds": 600}')


async def _json(sluice: Command, *arguments: str, stdin: str = "") -> Any:
    result = await sluice(*arguments, "-o", "json", stdin=stdin)
    assert (result.status, result.stderr) == (0, ""), result
    return json.loads(result.stdout)


async def _submitted(sluice: Command, *arguments: str, said: str = "") -> str:
    result = await sluice("submit", *arguments)
    assert (result.status, result.stderr) == (0, said)
    assert re.fullmatch(f"{ID}\n", result.stdout)
    return result.stdout.strip()


async def test_submit_prints_the_id_and_show_finds_the_task(asking: Command) -> None:
    task_id = await _submitted(asking, "Hello World")
    task = await _json(asking, "show", task_id)
    assert (task["id"], task["message"]) == (task_id, "Hello World")
    shown = await asking("show", task_id)
    assert re.search(r"^message +Hello World *$", shown.stdout, re.MULTILINE)


async def test_every_option_reaches_the_row(asking: Command) -> None:
    options = {"--queue": "elsewhere", "--priority": "9", "--max-attempts": "3", "--timeout": "1.5"}
    arguments = [word for option in options.items() for word in option]
    task = await _json(
        asking,
        "submit",
        "--kind",
        "sleep",
        "--payload",
        "-",
        "--delay",
        "600",
        *arguments,
        stdin='{"seconds": 0.25}',
    )
    assert task["status"] == "pending"
    assert task["payload"] == {"seconds": 0.25}
    assert [task[name] for name in ("kind", "queue", "priority", "max_attempts", "timeout", "message")] == [
        *("sleep", "elsewhere", 9, 3, 1.5, None)
    ]
    assert task["run_at"] > task["created_at"]
    later = await _json(asking, "submit", "x", "--run-at", "2031-01-01T00:00:00Z")
    assert later["run_at"].startswith("2031-01-01T00:00:00")


async def test_wait_prints_the_result_and_nothing_else_on_stdout(asking: Command) -> None:
    result = await asking("submit", "Grüße\x1b[2J", "--wait")
    assert (result.status, result.stdout) == (0, '"Grüße\\u001b[2J"\n')
    assert re.fullmatch(rf"completed {ID} in [0-9.]+ s\n", result.stderr)


async def test_wait_for_a_task_that_fails_is_status_1_and_tells_why(asking: Command) -> None:
    result = await asking("submit", "--kind", "fail", "--max-attempts", "1", "--wait")
    assert (result.status, result.stdout) == (1, "")
    assert re.fullmatch(rf"Error: task {ID} failed after 1 try: .+\n", result.stderr)


async def test_wait_for_a_task_that_is_canceled_meanwhile_is_status_1(asking: Command) -> None:
    process = await asking.start("submit", *SLEEP, "--queue", "nobody-serves-this", "--wait")
    while not (
        waiting := await _json(asking, "list", "--queue", "nobody-serves-this", "--status", "pending")
    ):
        await asyncio.sleep(0.05)
    [canceled] = await _json(asking, "cancel", waiting[0]["id"])
    assert canceled["canceled_from"] == "pending"
    result = await ended(process)
    assert result.status == 1
    said = (
        "nobody serves queue nobody-serves-this: no live consumer has it; "
        "start one with QUEUES=nobody-serves-this\n"
    )  # if it took a second
    assert result.stderr.removeprefix(said) == f"Error: task {canceled['id']} is canceled\n"


async def test_a_wait_that_takes_too_long_is_status_1_and_the_task_goes_on(asking: Command) -> None:
    result = await asking("submit", *SLEEP, "--delay", "600", "--wait-timeout", "0.2")
    assert (result.status, result.stdout) == (1, "")
    assert re.search(rf"stopped waiting after 0.2 s \(1 pending\).*sluice show {ID}$", result.stderr.strip())


async def test_ctrl_c_ends_the_wait_and_not_the_task(asking: Command) -> None:
    process = await asking.start("submit", *SLEEP, "--queue", "ctrl-c", "--wait")
    while not (found := await _json(asking, "list", "--queue", "ctrl-c")):
        await asyncio.sleep(0.05)
    process.send_signal(signal.SIGINT)
    result = await ended(process)
    assert result.status == 130
    assert "Traceback" not in result.stderr
    assert (await _json(asking, "show", found[0]["id"]))["status"] == "pending"


async def test_a_thousand_copies_are_submitted_and_waited_for(asking: Command) -> None:
    result = await asking("submit", "Bulk", "--count", "1000", "--wait", "-o", "json")
    assert result.status == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["statuses"] == {"completed": 1000}
    assert len(set(answer["ids"])) == 1000
    listed = await _json(asking, "list", "--limit", "600")
    assert len(listed) == 600
    assert [task["id"] for task in listed] == sorted((task["id"] for task in listed), reverse=True)


async def test_copies_of_which_some_fail_are_counted_and_status_1(asking: Command) -> None:
    result = await asking("submit", "--kind", "fail", "--max-attempts", "1", "--count", "7", "--wait")
    assert result.status == 1
    assert [line.split() for line in result.stdout.splitlines()] == [["STATUS", "TASKS"], ["failed", "7"]]
    assert "Error: 7 tasks did not complete" in result.stderr


async def test_copies_without_wait_are_ids_one_a_line(asking: Command) -> None:
    result = await asking("submit", "x", "--count", "3", "--queue", "three")
    assert result.status == 0
    ids = result.stdout.splitlines()
    listed = await _json(asking, "list", "--queue", "three", "--all")
    assert sorted(ids) == sorted(task["id"] for task in listed)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["x", "--priority", "10"], "/priority"),
        (["x", "--queue", "no spaces"], "/queue"),
        (["x", "--run-at", "tomorrow"], "/run_at"),
        (["x", "--kind", "ecko"], "echo"),
        (["x", "--priority", "10", "--count", "2"], "/tasks/0/priority"),
    ],
)
async def test_what_the_api_refuses_is_one_line_that_points_at_it(
    asking: Command, arguments: list[str], named: str
) -> None:
    result = await asking("submit", *arguments)
    assert (result.status, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert named in line


async def test_list_filters_and_says_when_nothing_matches(asking: Command) -> None:
    task_id = await _submitted(asking, "only one", "--queue", "filtered", "--delay", "600")
    table = await asking("list", "--queue", "filtered", "--kind", "echo", "--status", "pending")
    header, row = table.stdout.splitlines()
    assert header.split() == ["ID", "STATUS", "KIND", "QUEUE", "TRY", "AGE", "MESSAGE"]
    assert row.split()[:4] == [task_id, "pending", "echo", "filtered"]
    assert row.endswith("only one")
    nothing = await asking("list", "--queue", "filtered", "--status", "failed")
    assert (nothing.status, nothing.stdout, nothing.stderr) == (0, "", "no task matches\n")
    assert await _json(asking, "list", "--queue", "filtered", "--status", "failed") == []


async def test_cancel_goes_on_after_a_refusal_and_retry_takes_it_back(asking: Command) -> None:
    done = (await _json(asking, "submit", "x", "--wait"))["id"]
    said = "nobody serves queue unserved: no live consumer has it; start one with QUEUES=unserved\n"
    waiting = [await _submitted(asking, *SLEEP, "--queue", "unserved", said=said) for _ in range(2)]
    result = await asking("cancel", waiting[0], done, waiting[1])
    assert result.status == 1
    assert [line.split()[:3] for line in result.stdout.splitlines()[1:]] == [
        [task_id, "canceled", "pending"] for task_id in waiting
    ]
    [line] = result.stderr.splitlines()
    assert done in line
    assert "completed" in line
    retried = await _json(asking, "retry", *waiting)
    assert [task["status"] for task in retried] == ["pending", "pending"]
    again = await asking("retry", waiting[0])
    assert (again.status, again.stdout) == (1, "")


async def test_show_of_a_task_that_never_was_is_one_line(asking: Command) -> None:
    result = await asking("show", "01900000-0000-7000-8000-000000000000")
    assert (result.status, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert "404" in line


async def test_no_control_character_of_a_task_reaches_a_terminal(asking: Command) -> None:
    task_id = await _submitted(asking, "\x1b]0;owned\x07\u202e", "--queue", "evil", "--delay", "600")
    for arguments in (["show", task_id], ["list", "--queue", "evil"], ["show", task_id, "-o", "json"]):
        result = await asking(*arguments)
        assert "owned" in result.stdout
        assert not set("\x1b\x07\u202e") & set(result.stdout)


async def test_on_a_terminal_a_bar_is_drawn_on_stderr_and_the_data_stays_alone(asking: Command) -> None:
    terminal, theirs = os.openpty()
    process = await asking.start(
        "submit", "--kind", "sleep", "--payload", '{"seconds": 1}', "--wait", stderr=theirs
    )
    os.close(theirs)
    drawn = await asyncio.to_thread(_read_all, terminal)
    result = await ended(process)
    assert (result.status, result.stdout) == (0, '{"slept": 1.0}\n')
    assert "waiting" in drawn
    assert "processing" in drawn
    assert "completed" in drawn


def _read_all(terminal: int) -> str:
    read = b""
    try:
        while part := os.read(terminal, 65536):
            read += part
    except OSError:  # Linux says EIO when the other side is closed
        pass
    finally:
        os.close(terminal)
    return read.decode()
