"""The README's tables of variables, commands and exit statuses say what the code says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sluice.cli.main import app
from sluice.core.settings import ApiSettings, ClientSettings, ConsumerSettings
from tests.docs.markdown import ROOT, code, rows, section

README = ROOT / "README.md"
FIELDS: dict[str, FieldInfo] = {
    name.upper(): field
    for settings in (ApiSettings, ConsumerSettings, ClientSettings)
    for name, field in settings.model_fields.items()
}
DOCUMENTED = {
    code(name)[0]: (default, meaning) for name, default, meaning in rows(section(README, "Configuration"))
}
# What a default of None or of nothing means is said in words.
IN_WORDS = {
    "HANDLERS": "the built-in ones",
    "LOG_FORMAT": "`console` on a terminal, `json` elsewhere",
    "ROOT_PATH": "none",
    "SLUICE_SCHEMA": "the search path",
}


def test_the_table_has_every_variable_and_no_other() -> None:
    assert DOCUMENTED.keys() == FIELDS.keys()


@pytest.mark.parametrize("name", FIELDS)
def test_the_table_has_the_default(name: str) -> None:
    default, _ = DOCUMENTED[name]

    if FIELDS[name].is_required():
        assert default.startswith("required")
    elif name in IN_WORDS:
        assert (default, FIELDS[name].default or None) == (IN_WORDS[name], None)
    else:
        assert default == f"`{_written(FIELDS[name].default)}`"


@pytest.mark.parametrize("name", ["WORKER_QUEUE_MAXSIZE", "LEASE_SECONDS"])
def test_the_table_has_the_bounds(name: str) -> None:
    bounds = {type(bound).__name__: vars_of(bound) for bound in FIELDS[name].metadata}
    shown = re.search(r"([\d,]+) to ([\d,]+)$", DOCUMENTED[name][1])

    assert shown is not None
    assert [int(bound.replace(",", "")) for bound in shown.groups()] == [bounds["Ge"], bounds["Le"]]


def vars_of(bound: Any) -> Any:
    """What `annotated_types.Ge(5)` and its like hold."""
    return getattr(bound, type(bound).__name__.lower(), None)


def _written(default: Any) -> str:
    assert default is not PydanticUndefined
    if isinstance(default, tuple):
        return ",".join(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_the_table_of_commands_has_every_command() -> None:
    documented = {
        name.removeprefix("sluice ")
        for command, _ in rows(section(README, "Commands"))
        for name in code(command)
        if name.startswith("sluice ")
    }

    assert documented == {
        command.name or str(getattr(command.callback, "__name__", "")) for command in app.registered_commands
    }


def test_every_option_that_the_table_names_is_an_option_of_that_command() -> None:
    options = {
        "up": ("--ephemeral",),
        "api": ("--workers", "--with-consumer"),
        "consumer": ("--queues", "--processes"),
    }
    table = {code(name)[0]: does for name, does in rows(section(README, "Commands")) if code(name)}

    for name, wanted in options.items():
        assert all(option in table[f"sluice {name}"] for option in wanted)
        callback = next(
            c.callback for c in app.registered_commands if (c.callback and c.callback.__name__ == name)
        )
        taken = {f"--{parameter.replace('_', '-')}" for parameter in callback.__annotations__}
        assert set(wanted) <= taken
