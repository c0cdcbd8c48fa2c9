"""Classes that a payload may have within it, each of a sort that pydantic treats in its own way."""

from __future__ import annotations

from enum import Enum, IntEnum, IntFlag, StrEnum
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Size(StrEnum):
    S = "s"
    ONE = "1"


class Level(IntEnum):
    LOW = 1
    HIGH = 7


class Rights(IntFlag):
    READ = 1
    WRITE = 2


class Ratio(float, Enum):
    HALF = 0.5
    ONE = 1.0


class Mixed(Enum):
    ONE = 1
    TEXT = "text"


class Pair(Enum):
    AB = ("a", "b")


class Lenient(Enum):
    A = "a"

    @classmethod
    def _missing_(cls, _value: object) -> Lenient:
        return cls.A


class Point(NamedTuple):
    x: int
    y: int = 0


class Completes(BaseModel):
    """Adds what the payload lacks."""

    name: str

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"name": "nobody", **given})


class Renames(BaseModel):
    """Knows an older shape."""

    model_config = ConfigDict(extra="forbid")
    name: str

    @model_validator(mode="before")
    @classmethod
    def _older(cls, value: Any) -> Any:
        return {"name": value["title"]} if isinstance(value, dict) and "title" in value else value


class Tree(BaseModel):
    """Refers to itself."""

    value: int = Field(alias="v")
    below: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"] = Field(alias="Kind")
    lives: int


class Dog(BaseModel):
    kind: Literal["dog", "wolf"] = Field(alias="Kind")
    name: str = ""


class First(BaseModel):
    version: Literal[1]
    text: str


class Second(BaseModel):
    version: Literal[2, None]  # noqa: PYI061 - null is a tag as well
    number: float


def shape_of(value: Any) -> str:
    return "list" if isinstance(value, list) else "number"
