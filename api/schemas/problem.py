"""Errors as RFC 9457 writes them. Says what a client may read, not when it is sent: api/problems/table.py does."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field


class Finding(BaseModel):
    """One thing that is wrong, and where: in the body, or in a parameter of the path or the query."""

    pointer: Annotated[
        str | None,
        Field(description="JSON Pointer from the root of the body.", examples=["/tasks/1/message"]),
    ] = None
    parameter: Annotated[str | None, Field(description="Name of the parameter.", examples=["limit"])] = None
    detail: Annotated[str, Field(examples=["Input should be a valid string"])]


class Problem(BaseModel):
    """Why a request was not served."""

    type: Annotated[
        str, Field(description="Names the sort of problem.", examples=["urn:sluice:problem:invalid"])
    ]
    title: Annotated[str, Field(examples=["The request is not valid"])]
    status: Annotated[int, Field(ge=400, le=599, examples=[422])]
    detail: Annotated[str, Field(examples=["1 thing is wrong"])]
    errors: Annotated[list[Finding] | None, Field(description="Only where the request is not valid.")] = None
    id: Annotated[
        UUID | None, Field(description="The task that may have been accepted, where that is not known.")
    ] = None
    ids: Annotated[
        list[UUID] | None, Field(description="The same of a batch, all of it or none, in the order sent.")
    ] = None
