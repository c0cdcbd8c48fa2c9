"""What docs/protocol/README.md says of the model, of the product and of the runner is there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from tools.check_model import MODEL
from tools.model_settings import ABLATIONS, SETTINGS

ROOT = Path(__file__).parents[2]
README = (MODEL / "README.md").read_text(encoding="utf-8")
SOURCES = {path.name: path.read_text(encoding="utf-8") for path in MODEL.glob("*.pml")}
SOURCE = "\n".join(SOURCES.values())


def table(heading: str) -> list[list[str]]:
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


MAPPING = table("What each action stands for")
STAND_INS = sorted({name for row in MAPPING for name in names(row[1]) if "/" in name})


@pytest.mark.parametrize("name", STAND_INS)
def test_what_an_action_stands_for_exists(name: str) -> None:
    path, _, attributes = name.partition(":")
    assert (ROOT / path).is_file()
    if attributes:
        found: object = import_module(path.removesuffix(".py").replace("/", "."))
        for attribute in attributes.split("."):
            found = getattr(found, attribute)


def test_every_statement_that_changes_a_status_has_an_action() -> None:
    changing = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "db" / "sql").glob("*.sql")
        if "UPDATE tasks" in path.read_text(encoding="utf-8")
    }

    assert changing <= set(STAND_INS)


@pytest.mark.parametrize("row", MAPPING, ids=lambda row: row[0])
def test_each_action_is_in_the_model_and_names_its_rules(row: list[str]) -> None:
    rules = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")

    assert names(row[0])
    for name in names(row[0]):
        assert re.search(rf"\b{name}\b", SOURCE)
    for rule in row[2].split(", "):
        assert re.search(rf"- \*\*{rule}\b", rules)


def test_every_step_and_process_of_the_model_is_told() -> None:
    helpers = {"overtaken", "ends", "becomes_pending", "leaves", "frees", "put", "still_alone", "unlist"}
    faults = {"dies", "falls_silent", "cut", "cut_transaction", "Nemesis", "RedisFaults", "Clock"}
    told = {name for row in MAPPING for name in names(row[0])}

    assert set(re.findall(r"^(?:inline|proctype) (\w+)", SOURCE, re.MULTILINE)) - helpers - faults <= told


def test_every_ablation_is_told_as_it_is_run_and_no_other() -> None:
    told = {names(row[0])[0]: names(row[2])[0] for row in table("Ablations")}
    in_model = set(re.findall(r"^#ifn?def (\w+)|defined\((\w+)\)", SOURCES["rows.pml"], re.MULTILINE))
    for name in ("consumer.pml", "world.pml"):
        in_model |= set(re.findall(r"^#ifn?def (\w+)|defined\((\w+)\)", SOURCES[name], re.MULTILINE))

    assert told == {ablation.flag: ablation.breaks for ablation in ABLATIONS}
    assert {flag for pair in in_model for flag in pair if flag} == set(told)


def test_every_property_is_told_and_broken_by_some_ablation() -> None:
    told = {name for row in table("Properties") for name in names(row[0])}

    assert told == set(re.findall(r"MUST\((\w+),", SOURCE)) - {"broken"} | {"every_task_ends"}
    assert told == {ablation.breaks for ablation in ABLATIONS}


def test_every_setting_is_told() -> None:
    assert [name for row in table("Settings") for name in names(row[0])] == [
        setting.name for setting in SETTINGS
    ]
