"""Where the commands that ask the API find it, when `up` or `api` were told to listen elsewhere."""

from __future__ import annotations

import pytest

from sluice.cli import welcome
from sluice.cli.address import api_url
from sluice.cli.embedded import Urls
from tests.cli.support import Command


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, sluice: Command) -> None:
    monkeypatch.chdir(sluice.directory)
    for name in ("API_HOST", "API_PORT", "SLUICE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"API_PORT": "9000"}, "http://127.0.0.1:9000"),
        ({"API_HOST": "0.0.0.0"}, "http://127.0.0.1:8000"),  # noqa: S104 - nobody binds it
        ({"API_HOST": "::", "API_PORT": "81"}, "http://[::1]:81"),
        ({"API_HOST": "here.example"}, "http://here.example:8000"),
        ({"API_PORT": "9000", "SLUICE_URL": "http://there.example/"}, "http://there.example"),
        ({"API_PORT": "none", "SLUICE_URL": "http://127.0.0.1:8000"}, "http://127.0.0.1:8000"),
    ],
)
@pytest.mark.parametrize("written", ["in the environment", "in .env"])
def test_the_api_is_where_its_settings_say_unless_a_url_is_named(
    settings: dict[str, str], url: str, written: str, sluice: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    if written == "in .env":
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        (sluice.directory / ".env").write_text(lines)
    else:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
    assert api_url() == url


async def test_commands_ask_at_the_port_of_the_environment(sluice: Command, unused_tcp_port: int) -> None:
    result = await sluice("list", API_PORT=str(unused_tcp_port))
    assert (result.status, result.stdout) == (1, "")
    assert f"no answer from http://127.0.0.1:{unused_tcp_port}" in result.stderr


@pytest.mark.parametrize(("port", "named"), [("0", "set SLUICE_URL"), ("http", "API_PORT is 'http'")])
async def test_a_port_that_leads_nowhere_is_told_in_one_line(sluice: Command, port: str, named: str) -> None:
    result = await sluice("list", API_PORT=port)
    assert (result.status, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert named in line


@pytest.mark.parametrize(
    ("url", "settings", "told"),
    [
        ("http://127.0.0.1:8000", {}, False),
        ("http://127.0.0.1:8001", {}, True),
        ("http://127.0.0.1:8001", {"API_PORT": "8001"}, True),
        ("http://127.0.0.1:8000", {"API_PORT": "8001"}, True),
        ("http://127.0.0.1:8000", {"SLUICE_URL": "http://there.example"}, True),
        ("http://127.0.0.1:8000", {"API_PORT": "http"}, True),
    ],
)
def test_up_says_how_another_shell_finds_its_api_unless_every_shell_does(
    url: str,
    settings: dict[str, str],
    told: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    welcome.show(url=url, data=None, kept=True, named={}, embedded=Urls("", ""), seconds=1)
    assert (f"\nexport SLUICE_URL={url}\n" in capsys.readouterr().out) is told
