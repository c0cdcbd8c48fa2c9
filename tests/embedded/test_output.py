"""Children's lines on the stderr of `sluice up`."""

from __future__ import annotations

import io
import os

import pytest

from sluice.cli.supervise.output import Output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def shown(stream: io.StringIO, *, lines: bytes) -> Output:
    output = Output(("api", "consumer"), stream)
    fd = await output.open("api")
    os.write(fd, lines)
    os.close(fd)
    await output.drain("api")
    return output


async def test_on_a_terminal_lines_carry_their_senders_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    output = await shown(terminal, lines=b"one\ntwo \xff\nthree")
    output.say("ours")
    assert terminal.getvalue() == (
        "api      │ one\napi      │ two \N{REPLACEMENT CHARACTER}\napi      │ three\nsluice   │ ours\n"
    )


async def test_elsewhere_lines_are_passed_on_as_they_are() -> None:
    file = io.StringIO()
    output = await shown(file, lines=b'{"event": "a"}\n\n')
    assert file.getvalue() == '{"event": "a"}\n\n'
    assert output.last_line("api") == '{"event": "a"}'
    assert output.last_line("consumer") == ""


async def test_a_line_that_was_shown_before_is_kept_and_not_shown_again() -> None:
    file = io.StringIO()
    output = Output(("api", "consumer"), file)
    fd = await output.open("api", known="the reason")
    os.write(fd, b"a warning\n  the reason\n\n")
    os.close(fd)
    await output.drain("api")
    assert file.getvalue() == "a warning\n\n"
    assert output.last_line("api") == "the reason"


async def test_a_terminal_that_is_gone_stops_nothing() -> None:
    class Gone(Terminal):
        def write(self, _: str) -> int:
            raise OSError(5, "Input/output error")

    output = await shown(Gone(), lines=b"one\n")
    output.say("ours")
