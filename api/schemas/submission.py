"""What clients send: one task, many of them, a change of status. Strict: nothing is converted, nothing is ignored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from sluice.api.schemas import instants
from sluice.core.task import (
    DEFAULT_KIND,
    DEFAULT_PRIORITY,
    DEFAULT_QUEUE,
    KIND_PATTERN,
    MAX_AHEAD_DAYS,
    MAX_ATTEMPTS,
    MAX_MESSAGE_BYTES,
    MAX_TIMEOUT_SECONDS,
    MIN_TIMEOUT_SECONDS,
    PRIORITIES,
    QUEUE_PATTERN,
)

MAX_BATCH = 10_000
_MAX_AHEAD = timedelta(days=MAX_AHEAD_DAYS)
_SMALLEST_CHARACTERS_OVER = MAX_MESSAGE_BYTES // 4


class Misfit(ValueError):
    """Fields that are right by themselves and wrong together; `field` is the one to point at."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


def _short_enough(message: str) -> str:
    # The first comparison spares nearly every message the encoding.
    if len(message) > _SMALLEST_CHARACTERS_OVER and len(message.encode()) > MAX_MESSAGE_BYTES:
        raise ValueError(f"it must be at most {MAX_MESSAGE_BYTES} bytes long in UTF-8")
    return message


def _instant(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("it must be a string")  # noqa: TRY004 - pydantic reports a ValueError, a TypeError is a fault
    at = instants.parse(value)
    # The one look at this clock: a bound of years. Whether a time is past is for the database to say.
    if at - datetime.now(UTC) > _MAX_AHEAD:
        raise ValueError("it must be at most ten years ahead")
    return at


def _not_null(value: object) -> object:
    if value is None:
        raise ValueError("it must not be null: leave the field out")
    return value


def _whole_number(value: object) -> object:
    # JSON knows one sort of number: 5.0 is an integer there, and in JSON Schema.
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = BeforeValidator(_whole_number)
NotNull = BeforeValidator(_not_null)
"""None is this side's word for a field that was left out; nobody may send it."""

Message = Annotated[
    str,
    AfterValidator(_short_enough),
    Field(json_schema_extra={"maxLength": MAX_MESSAGE_BYTES}),
]
RunAt = Annotated[
    datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
Delay = Annotated[float, Field(ge=0, le=_MAX_AHEAD.total_seconds(), allow_inf_nan=False)]
Priority = Annotated[int, Field(ge=PRIORITIES[0], le=PRIORITIES[-1]), WholeNumber]
Attempts = Annotated[int, Field(ge=1, le=MAX_ATTEMPTS), WholeNumber]
Timeout = Annotated[float, Field(ge=MIN_TIMEOUT_SECONDS, le=MAX_TIMEOUT_SECONDS, allow_inf_nan=False)]
KindName = Annotated[str, Field(pattern=KIND_PATTERN)]
Queue = Annotated[str, Field(pattern=QUEUE_PATTERN)]


def _with(field: str) -> dict[str, Any]:
    """An object that has this field, and may have others; linters want all of this said."""
    return {"properties": {field: {}}, "required": [field], "additionalProperties": True}


def _describe(schema: dict[str, Any]) -> None:
    """Say in the JSON schema what the types cannot: None is never sent, and `message` or `kind` is."""
    for field in schema["properties"].values():
        if "anyOf" in field:
            field.update(field.pop("anyOf")[0])
            del field["default"]
    # Said in this way generators of clients still see one object: of anyOf and not they make nothing, or two.
    schema["if"] = {"not": _with("message")}
    schema["then"] = _with("kind")
    schema["dependentSchemas"] = {"run_at": {"not": _with("delay")}}
    schema["examples"] = [
        {"message": "Hello World"},
        {"kind": "sleep", "payload": {"seconds": 1.5}, "priority": 9},
    ]


class Submission(BaseModel):
    """A task to be run. `message` may be left out when `kind` is given; at most one of `run_at` and `delay` is."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, json_schema_extra=_describe)

    message: Annotated[
        Message | None,
        NotNull,
        Field(description="Text for the handler, at most 64 KiB in UTF-8.", examples=["Hello World"]),
    ] = None
    kind: Annotated[
        KindName,
        Field(description="Which handler runs it; one that some consumer has registered.", examples=["echo"]),
    ] = DEFAULT_KIND
    payload: Annotated[
        dict[str, Any],
        Field(description="JSON for the handler, at most 64 levels deep.", examples=[{"invoice": 7}]),
    ] = {}
    queue: Annotated[
        Queue, Field(description="Where it waits; one that nobody serves waits too.", examples=["default"])
    ] = DEFAULT_QUEUE
    priority: Annotated[Priority, Field(description="Higher first.", examples=[5])] = DEFAULT_PRIORITY
    run_at: Annotated[
        RunAt | None,
        NotNull,
        Field(
            description="Not before this time (RFC 3339, to the microsecond), at most ten years ahead; "
            "the past means now.",
            examples=["2026-12-24T18:00:00Z"],
        ),
    ] = None
    delay: Annotated[
        Delay | None,
        NotNull,
        Field(description="Not before so many seconds from now. Not with `run_at`.", examples=[1.5]),
    ] = None
    max_attempts: Annotated[
        Attempts | None,
        NotNull,
        Field(description="Tries before it fails; otherwise what the handler says, or 5.", examples=[5]),
    ] = None
    timeout: Annotated[
        Timeout | None,
        NotNull,
        Field(description="Seconds for one try; otherwise what the handler says, or 3600.", examples=[30]),
    ] = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.message is None and "kind" not in self.model_fields_set:
            raise Misfit("message", "it is required unless kind is given")
        if self.delay is not None and self.run_at is not None:
            raise Misfit("delay", "it and run_at exclude each other")
        return self


class Batch(BaseModel):
    """Many tasks, all or nothing."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    tasks: Annotated[
        list[Submission],
        Field(
            min_length=1,
            max_length=MAX_BATCH,
            examples=[[{"message": "one"}, {"message": "two", "delay": 60}]],
        ),
    ]


class StatusChange(BaseModel):
    """`canceled` stops a task, `pending` runs a failed or canceled one again with a fresh budget."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    status: Annotated[Literal["canceled", "pending"], Field(examples=["canceled"])]
