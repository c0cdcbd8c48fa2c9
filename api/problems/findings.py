"""What is wrong with a request and where, as clients read it: flaws become JSON Pointers. Never repeats a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from pydantic import ValidationError

from sluice.api.problems.errors import MOST_FLAWS, Invalid, PayloadsRefused, UnknownKinds
from sluice.api.schemas.submission import Misfit
from sluice.core.errors import Flaw, PayloadRefused, UnknownKind
from sluice.core.unserved import WITH_KIND

LONGEST_STEP = 100
"""Characters of a key that a pointer shows; the key is the client's, and may be as long as the body."""

Finding = Mapping[str, str]
_OF_PYDANTIC = "Value error, "


def pointer(path: Sequence[str | int]) -> str:
    """`path` as RFC 6901 writes it."""
    return "".join(f"/{_step(step)}" for step in path)


def in_body(flaws: Iterable[Flaw]) -> list[Finding]:
    """Flaws of the body, by their places."""
    return [{"pointer": pointer(flaw.path), "detail": flaw.detail} for flaw in flaws]


def in_parameters(flaws: Iterable[tuple[str, str]]) -> list[Finding]:
    """Flaws of parameters, by their names."""
    return [{"parameter": _shown(name), "detail": detail} for name, detail in flaws]


def of_batch(refused: Mapping[int, UnknownKind | PayloadRefused]) -> Invalid:
    """Return the one error for the tasks that were refused, by their numbers: of their sort when all have the same."""
    flaws = [
        Flaw(("tasks", number, *flaw.path), flaw.detail)
        for number, error in refused.items()
        for flaw in of_kind(error)
    ]
    sorts = {type(error) for error in refused.values()}
    if sorts == {UnknownKind}:
        return UnknownKinds(flaws)
    return PayloadsRefused(flaws) if sorts == {PayloadRefused} else Invalid(flaws)


def of_kind(refused: UnknownKind | PayloadRefused) -> list[Flaw]:
    """Why a submission does not fit what consumers registered."""
    if isinstance(refused, PayloadRefused):
        return [Flaw(("payload", *flaw.path), flaw.detail) for flaw in refused.flaws]
    near = f"; {nearest(refused)}" if refused.nearest else ""
    return [Flaw(("kind",), f"no consumer has registered it: {WITH_KIND}{near}")]


def nearest(refused: UnknownKind) -> str:
    """Say which registered kinds are written nearly like it."""
    if not refused.nearest:
        return "none is near it"
    return f"the nearest {'is' if len(refused.nearest) == 1 else 'are'} {', '.join(refused.nearest)}"


def flaws_of(invalid: ValidationError) -> list[Flaw]:
    """What pydantic found, without the values that it found."""
    errors = invalid.errors(include_url=False, include_input=False)
    return [_flaw(error) for error in islice(errors, MOST_FLAWS)]


def parameter_flaws(errors: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What FastAPI found in the path and the query; the first step of a place says which of the two."""
    found = islice(errors, MOST_FLAWS)
    return [(".".join(map(str, error["loc"][1:])), _detail(error)) for error in found]


def _flaw(error: Mapping[str, Any]) -> Flaw:
    path: tuple[str | int, ...] = tuple(error["loc"])
    cause = error.get("ctx", {}).get("error")
    return Flaw((*path, cause.field) if isinstance(cause, Misfit) else path, _detail(error))


def _detail(error: Mapping[str, Any]) -> str:
    text: str = error["msg"].removeprefix(_OF_PYDANTIC)
    return text[0].upper() + text[1:]


def _step(step: str | int) -> str:
    return _shown(str(step).replace("~", "~0").replace("/", "~1"))


def _shown(text: str) -> str:
    return text if len(text) <= LONGEST_STEP else f"{text[:LONGEST_STEP]}…"
