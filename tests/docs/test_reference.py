"""Tables and pictures of the documents, compared with what they are about."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from sluice import Context
from sluice.api.main import FLUSHERS, LOOKS_AT_ONCE, PAGES_AT_ONCE, PROBES_AT_ONCE, create_app
from sluice.api.problems.table import TABLE
from sluice.consumer.stores import HOT_CONNECTIONS
from sluice.consumer.upkeep.promote import Promote
from sluice.consumer.upkeep.prune import Prune
from sluice.consumer.upkeep.reap import Reap
from sluice.core import attempts, events
from sluice.core.lifecycle import TRANSITIONS
from sluice.core.settings import ApiSettings, ConsumerSettings
from sluice.core.task import ReadyList, Task
from sluice.db.keys import Keys
from tests.docs.markdown import ROOT, blocks, code, rows, section

DOCS = ROOT / "docs"
API, ARCHITECTURE, OPERATIONS = DOCS / "api.md", DOCS / "architecture.md", DOCS / "operations.md"
PRODUCT = ("api", "cli", "consumer", "core", "db")
GUARANTEES, HANDLERS = DOCS / "guarantees.md", DOCS / "handlers.md"


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    """What the application says of itself; nothing is opened for it."""
    settings = ApiSettings.model_validate({"database_url": "postgresql://nowhere", "redis_url": ""})
    return create_app(settings).openapi()


def test_the_picture_of_the_states_is_the_state_machine() -> None:
    [picture] = blocks(ARCHITECTURE, "mermaid")
    drawn = re.findall(r"^ +(\w+) --> (\w+): (\w+)$", picture.text, re.MULTILINE)

    assert sorted(drawn) == sorted(
        (source.value, target.value, verb)
        for verb, (sources, targets) in TRANSITIONS.items()
        for source in sources
        for target in targets
    )


def test_every_verb_of_the_state_machine_is_told() -> None:
    told = [verb for verb, *_ in rows(section(ARCHITECTURE, "States"))]

    assert sorted(told) == sorted(TRANSITIONS)


def test_the_table_of_upkeep_has_every_step_and_its_period() -> None:
    told = {step: period for step, period, _ in rows(section(ARCHITECTURE, "Upkeep"))}
    longest_reap = timedelta(seconds=5)
    periods = {
        Promote.name: Promote.period,
        Reap.name: longest_reap,
        Prune.name: Prune.period,
    }

    assert told == {step: f"{period.total_seconds():g} s" for step, period in periods.items()}


def test_the_names_in_redis_are_told() -> None:
    told = {code(name)[0] for name, _ in rows(section(ARCHITECTURE, "Redis"))}
    keys = Keys("sluice")

    lists = keys.ready(ReadyList("<audience>:<queue>:<priority>"))
    assert told == {lists, keys.wake("<name>"), keys.probe("<name>"), keys.cancels}


def test_every_log_event_is_told_with_its_level() -> None:
    told = {code(name)[0]: level for name, level, _ in rows(section(OPERATIONS, "Log events"))}
    classes = [
        found
        for module in (events, attempts)
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, events.Event) and "name" in vars(found) and found is not events.Event
    ]

    assert told == {found.name: found.level for found in classes}


def test_the_connections_are_told_with_their_names_in_pg_stat_activity() -> None:
    told = section(OPERATIONS, "Connections")
    sources = [path.read_text(encoding="utf-8") for top in PRODUCT for path in (ROOT / top).rglob("*.py")]
    roles = {role for source in sources for role in re.findall(r'\brole="([a-z-]+)"', source)}

    assert set(re.findall(r"`sluice/([a-z-]+)`", told)) == roles
    api = LOOKS_AT_ONCE + PAGES_AT_ONCE + PROBES_AT_ONCE + 2 * FLUSHERS
    assert (
        f"| up to {api}: {LOOKS_AT_ONCE} for single tasks, {PAGES_AT_ONCE} for lists, "
        f"{PROBES_AT_ONCE} for probes, {FLUSHERS} for submissions, {FLUSHERS} for batches |"
    ) in told
    handlers = ConsumerSettings.model_fields["handler_pool_size"].default
    both = api + HOT_CONNECTIONS + 1 + handlers
    assert f"| the sum of both: {both} with a `HANDLER_POOL_SIZE` of {handlers} |" in told


def test_every_endpoint_is_told_with_its_operation_and_its_answers(openapi: dict[str, Any]) -> None:
    told = {
        code(request)[0]: (code(operation)[0], answers.split(", "))
        for request, operation, answers in rows(section(API, "Endpoints"))
    }

    assert told == {
        f"{method.upper()} {path}": (operation["operationId"], sorted(operation["responses"]))
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    }


def test_the_fields_of_a_task_are_told_in_their_order() -> None:
    told = [code(name)[0] for name, _ in rows(section(API, "The task"))]

    assert told == [field.name for field in fields(Task)]


def test_the_fields_of_a_submission_are_told(openapi: dict[str, Any]) -> None:
    told = [code(name)[0] for name, *_ in rows(section(API, "Submit a task"))]

    assert told == list(openapi["components"]["schemas"]["Submission"]["properties"])


def test_the_parameters_of_a_list_are_told(openapi: dict[str, Any]) -> None:
    told = [code(name)[0] for name, *_ in rows(section(API, "Get and list")) if code(name)]

    assert told == [parameter["name"] for parameter in openapi["paths"]["/tasks"]["get"]["parameters"]]


def test_every_problem_is_told_with_its_status() -> None:
    table = [row for row in rows(section(API, "Errors")) if "urn:" in row[0]]
    told = {code(row[0])[0].removeprefix("urn:sluice:problem:"): int(row[1]) for row in table}
    special = {"not-found": 404, "method-not-allowed": 405, "unexpected": 500}

    assert told == {sort.name: sort.status for sort in TABLE.values()} | special


def test_the_readme_has_every_endpoint(openapi: dict[str, Any]) -> None:
    told = {
        request.replace("{id}", "{task_id}")
        for requests, _ in rows(section(ROOT / "README.md", "The API at a glance"))
        for request in code(requests)
    }
    served = {f"{method.upper()} {path}" for path, methods in openapi["paths"].items() for method in methods}

    assert told == served | {"GET /docs", "GET /openapi.json"}


def test_the_context_is_told_whole() -> None:
    told = {
        re.sub(r"await ctx\.(\w+)\(\)", r"ctx.\1", name).removeprefix("ctx.")
        for names, _ in rows(section(HANDLERS, "The context"))
        for name in code(names)
    }

    assert told == {name for name in vars(Context) if not name.startswith("_")}


def test_every_rule_that_a_comment_names_is_told_and_every_told_rule_is_kept_somewhere() -> None:
    told = set(re.findall(r"^- \*\*([A-Z]\d)\b", section(GUARANTEES, "The rules"), re.MULTILINE))
    named: set[str] = set()
    for top in PRODUCT:
        for path in [*(ROOT / top).rglob("*.py"), *(ROOT / top).rglob("*.sql")]:
            for found in re.findall(
                r"\((?:[A-Z]\d(?: [A-Za-z ]+?)?)(?:(?:, | to )[A-Z]\d(?: [A-Za-z ]+?)?)*\)",
                path.read_text(encoding="utf-8"),
            ):
                named |= set(re.findall(r"[A-Z]\d", found))

    assert named == told
