from __future__ import annotations

import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from sluice.cli.main import main
from tests.cli.support import Command, Ended, ended

HEAVY = ("alembic", "asyncpg", "fastapi", "httpx2", "redis", "sqlalchemy", "structlog", "uvicorn")
COMMANDS = (
    *("up", "api", "consumer", "migrate", "psql", "version"),
    *("submit", "show", "list", "cancel", "retry"),
)
FLAGS: dict[tuple[str, ...], tuple[str, ...]] = {
    (): ("--version", "--install-completion", "--show-completion"),
    ("up",): ("--ephemeral",),
    ("api",): ("--with-consumer",),
    ("submit",): ("--wait",),
    ("list",): ("--all", "--watch", "--quiet"),
}
SEE_IMPORTS = f"""
import sys
from sluice.cli.main import main
for arguments in [["--help"], ["--version"], *([name, "--help"] for name in {COMMANDS})]:
    assert main(arguments) == 0, arguments
print(*sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)
"""


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-P", "-c", SEE_IMPORTS], cwd=tmp_path, capture_output=True, check=False, timeout=50
    )
    assert (result.returncode, result.stderr) == (0, b"\n")


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=" ".join)
async def test_flags_are_shown_by_their_names_alone(
    sluice: Command, command: tuple[str, ...], columns: str
) -> None:
    shown = (await sluice(*command, "--help", COLUMNS=columns)).stdout
    assert re.search(r"^│ --help +(-h +)?Show this message and exit", shown, re.MULTILINE)
    assert "bool" not in shown.lower()
    for flag in FLAGS.get(command, ()):
        assert re.search(rf"^│ {flag} {{2,}}(-\w {{2,}})?[A-Z]", shown, re.MULTILINE), flag


async def test_help_names_every_command(sluice: Command) -> None:
    result = await sluice("--help")
    assert result.stderr == ""
    for name in COMMANDS:
        assert f"│ {name} " in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["post", "x"],
        ["submit"],
        ["submit", "x", "--nonsense"],
        ["submit", "x", "--count", "0"],
        ["submit", "x", "--payload", "{"],
        ["submit", "x", "--delay", "nan"],
        ["submit", "x", "--timeout", "inf"],
        ["submit", "x", "--wait-timeout", "nan"],
        ["submit", "x", "--payload", "@/nowhere"],
        ["submit", "x", "-o", "yaml"],
        ["show"],
        ["show", "../health"],
        ["list", "--status", "done"],
        ["cancel"],
        ["consumer", "--processes", "0"],
        ["consumer", "--queues", "a b"],
        ["consumer", "--queues", ""],
        ["api", "--port", "65536"],
    ],
)
def test_wrong_usage_is_status_2_and_nothing_on_stdout(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "Error" in told.err


async def test_the_status_of_wrong_usage_reaches_the_shell(sluice: Command) -> None:
    result = await ended(await replace(sluice, cold=True).start("submit", "x", "--nonsense"))
    assert (result.status, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("module", "option", "value"),
    [
        *(("api", "--port", value) for value in ("70000", "-1", "http")),
        *(("api", "--workers", value) for value in ("0", "257", "two")),
        *(("consumer", "--processes", value) for value in ("0", "257")),
        *(("consumer", "--queues", value) for value in ("", "a b", "a,b/c")),
    ],
)
async def test_what_an_option_cannot_be_is_wrong_usage_of_the_command_and_of_the_module(
    sluice: Command, module: str, option: str, value: str
) -> None:
    result = await Command(sluice.directory, module)(option, value)
    assert (result.status, result.stdout) == (2, "")
    assert f"argument {option}" in result.stderr.splitlines()[-1]

    result = await sluice(module, option, value)
    assert (result.status, result.stdout) == (2, "")
    assert f"Invalid value for '{option}'" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "command", [["api", "--with-consumer"], ["consumer"], ["consumer", "--reload"]], ids=" ".join
)
async def test_a_signal_while_handlers_are_imported_is_a_clean_stop(
    sluice: Command, command: list[str], number: signal.Signals
) -> None:
    (sluice.directory / "slow.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    stores = {"DATABASE_URL": "postgresql://nobody@/x?host=/nowhere", "REDIS_URL": "", "HANDLERS": "slow"}
    process = await sluice.start(*command, env=stores)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"importing\n"
    process.send_signal(number)
    assert await ended(process) == Ended(0, "", "")


async def test_the_status_of_a_failure_reaches_the_shell(sluice: Command) -> None:
    result = await ended(await replace(sluice, cold=True).start("migrate"))
    assert (result.status, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: DATABASE_URL is not set")


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "x"],
        ["submit", "x", "--count", "3"],
        ["show", str(uuid4())],
        ["list"],
        ["cancel", str(uuid4())],
    ],
)
async def test_without_an_api_one_line_says_what_to_start(
    sluice: Command, arguments: list[str], unused_tcp_port: int
) -> None:
    result = await sluice(*arguments, SLUICE_URL=f"http://127.0.0.1:{unused_tcp_port}")
    assert result.status == 1
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith(f"Error: no answer from http://127.0.0.1:{unused_tcp_port}")
    assert "sluice up" in line


@pytest.mark.parametrize(
    ("arguments", "settings", "named"),
    [
        (["migrate"], {}, "DATABASE_URL"),
        (["migrate"], {"DATABASE_URL": "mysql://x"}, "postgresql://"),
        (["api"], {}, "DATABASE_URL"),
        (["consumer"], {}, "DATABASE_URL"),
        (["consumer", "--reload"], {}, "DATABASE_URL"),
        (["list"], {"SLUICE_URL": "ftp://x"}, "SLUICE_URL"),
        (["list"], {"SLUICE_URL": "http://127.0.0.1:abc"}, "SLUICE_URL"),
        (["list"], {"SLUICE_URL": "http://a..b"}, "SLUICE_URL"),
    ],
)
async def test_a_setting_that_is_missing_or_wrong_is_named_in_one_line(
    sluice: Command, arguments: list[str], settings: dict[str, str], named: str
) -> None:
    result = await sluice(*arguments, **settings)
    assert (result.status, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert named in line
