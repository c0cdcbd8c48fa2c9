from __future__ import annotations

from sluice.core.errors import (
    ConfigurationError,
    OutcomeUnknown,
    SchemaAhead,
    SchemaBehind,
    StoreUnavailable,
    TransitionRefused,
    UnknownKind,
)
from sluice.core.task import Status
from tests.unit.support import task_id


def test_a_schema_that_does_not_fit_names_the_command_that_mends_it() -> None:
    assert (
        str(SchemaBehind(None, "0002"))
        == "the database is empty, this version needs 0002: run `sluice migrate`"
    )
    assert "at revision 0001, this version needs 0002" in str(SchemaBehind("0001", "0002"))
    assert "install the version of Sluice that migrated it" in str(SchemaAhead("0003", "0002"))
    assert isinstance(SchemaAhead("0003", "0002"), ConfigurationError)


def test_who_expects_a_store_to_be_away_also_hears_of_an_unknown_outcome() -> None:
    lost = OutcomeUnknown("PostgreSQL", "connection reset")

    assert isinstance(lost, StoreUnavailable)
    assert (str(lost), lost.store, lost.reason) == (
        "PostgreSQL is not available: connection reset",
        "PostgreSQL",
        "connection reset",
    )


def test_an_unknown_kind_names_those_that_are_near() -> None:
    assert str(UnknownKind("ehco", ["echo", "each"])) == (
        "no consumer has registered the kind 'ehco'; did you mean echo, each?"
    )
    assert str(UnknownKind("x", [])) == "no consumer has registered the kind 'x'"


def test_a_refused_transition_says_what_the_task_is() -> None:
    refused = TransitionRefused(task_id(1), Status.COMPLETED, Status.CANCELED)
    assert str(refused) == f"task {task_id(1)} is completed: it cannot become canceled"
