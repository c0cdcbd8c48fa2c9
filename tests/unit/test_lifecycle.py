from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import pytest
from sqlalchemy import CheckConstraint, Table

from sluice.core import lifecycle
from sluice.core.lifecycle import TRANSITIONS
from sluice.core.task import SUSPECTED_AFTER_CRASHES, TERMINAL, Status
from sluice.db.models import TaskRow
from tests.support.transitions import allowed

STATEMENTS = {
    file.name.removesuffix(".sql"): re.sub(r"--.*", "", file.read_text(encoding="utf-8"))
    for file in files("sluice.db.sql").iterdir()
    if file.name.endswith(".sql")
}
VERB_OF = {"claim_ready": "claim"}
CHANGES_A_TASK = [name for name, sql in STATEMENTS.items() if "UPDATE tasks" in sql]
HELD = {Status.PROCESSING}
"""What a statement moves from when it asks for the token alone: only a claim hands one out."""


def statuses(text: str) -> set[Status]:
    return {Status(word) for word in re.findall(r"'(\w+)'", text) if word in set(Status)}


def assignments(name: str) -> str:
    found = re.search(r"\bSET\b(.*?)(?=^ *(?:FROM|WHERE)\b)", STATEMENTS[name], re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def sources(name: str) -> set[Status]:
    conditions = STATEMENTS[name].replace(assignments(name), "").partition("RETURNING")[0]
    by_status = re.findall(r"status (?:=|IN) (?:\([^)]*\)|'\w+')", conditions)
    if not by_status:
        assert re.search(r"fencing_token = (lost|done|back|seen)\.token", conditions)
        return HELD
    [condition] = set(by_status)
    return statuses(condition)


def targets(name: str) -> set[Status]:
    found = re.search(r"\bstatus = (CASE .*? END|'\w+')", assignments(name), re.DOTALL)
    assert found
    return statuses(found[1])


def check(name: str) -> str:
    table = TaskRow.__table__
    assert isinstance(table, Table)
    [found] = [
        c for c in table.constraints if isinstance(c, CheckConstraint) and c.name == f"ck_tasks_{name}"
    ]
    return str(found.sqltext)


def test_every_statement_that_changes_a_task_is_a_verb_of_the_table_and_every_verb_a_statement() -> None:
    assert {VERB_OF.get(name, name) for name in CHANGES_A_TASK} == set(TRANSITIONS)


@pytest.mark.parametrize("name", CHANGES_A_TASK)
def test_a_statement_moves_tasks_as_its_verb_may(name: str) -> None:
    verb = TRANSITIONS[VERB_OF.get(name, name)]

    assert sources(name) == verb.sources
    assert targets(name) == verb.targets


@pytest.mark.parametrize("name", CHANGES_A_TASK)
def test_a_statement_that_changes_the_status_moves_the_fencing_token_on_by_one(name: str) -> None:
    assert re.search(r"fencing_token = (?:task\.)?fencing_token \+ 1\b", assignments(name))


def test_the_column_holds_the_statuses_and_nothing_else() -> None:
    assert statuses(check("status")) == set(Status)
    assert len(re.findall(r"'\w+'", check("status"))) == len(Status)


def test_a_cancel_says_which_status_it_ended() -> None:
    assert statuses(check("canceled_from")) == TRANSITIONS["cancel"].sources
    assert "canceled_from = status" in STATEMENTS["cancel"]


def test_what_is_pruned_is_what_has_ended() -> None:
    last = {target for verb in TRANSITIONS.values() for target in verb.targets} - {
        source for name, verb in TRANSITIONS.items() for source in verb.sources if name != "retry"
    }
    assert last == TERMINAL
    for condition in re.findall(r"status IN \(.*?\)", STATEMENTS["prune"]):
        assert statuses(condition) == TERMINAL


def test_the_picture_shows_each_edge_of_the_table_and_no_other() -> None:
    assert edges_of_the_picture() == {
        (source, name, target)
        for name, verb in TRANSITIONS.items()
        for source in verb.sources
        for target in verb.targets
    }


def edges_of_the_picture() -> set[tuple[Any, ...]]:
    assert lifecycle.__doc__
    first, *others = lifecycle.__doc__.split("\n\n")[1].splitlines()
    words = re.findall(r"\w+", first)
    edges = {tuple(words[0:3]), tuple(words[2:5])}
    below = first.index("processing")
    for line in others:
        if line.startswith("'"):  # back to pending
            verbs, back = re.fullmatch(r"'-+ (.*?) -+ (.*)", line).groups()  # type: ignore[union-attr]
            lefts, target = back.split(", "), "pending"
        else:
            corner = line.index("'")
            verbs, target = re.fullmatch(r"'-+(.*?)-+> (\w+)", line[corner:]).groups()  # type: ignore[union-attr]
            lefts = ["processing" if corner > below else "pending"]
        edges |= {
            (left, verb, target)
            for left in lefts
            for verb in re.sub(r"\(.*?\)", "", verbs).strip().split(", ")
        }
    return {(source, verb.strip(), target) for source, verb, target in edges}


@pytest.mark.parametrize(
    ("verb", "source", "target", "answer"),
    [
        ("claim", Status.PENDING, Status.PROCESSING, True),
        ("claim", Status.CANCELED, Status.PROCESSING, False),
        ("finish", Status.PENDING, Status.COMPLETED, False),
        ("retry", Status.COMPLETED, Status.PENDING, False),
        ("cancel", Status.COMPLETED, Status.CANCELED, False),
    ],
)
def test_the_table_can_be_asked(verb: str, source: Status, target: Status, answer: bool) -> None:
    assert allowed(verb, source, target) is answer


def test_statements_and_their_index_agree_on_what_one_more_crash_would_poison() -> None:
    """As a literal in SQL: a generic plan cannot use a partial index behind a parameter."""
    [suspects] = [
        each for each in TaskRow.metadata.tables["tasks"].indexes if each.name == "ix_tasks_suspects"
    ]
    texts = [*STATEMENTS.values(), str(suspects.dialect_options["postgresql"]["where"])]
    found = [limit for each in texts for limit in re.findall(r"\bcrashes (?:<|>=) (\d+)", each)]
    assert found == [str(SUSPECTED_AFTER_CRASHES)] * 5
