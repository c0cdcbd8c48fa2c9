"""The HTTP API. It accepts tasks and tells about them; it runs none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI


def create_app() -> FastAPI:
    """Make the application for a server of your own, such as `uvicorn --factory sluice.api:create_app`.

    Settings come from the environment. Raises ConfigurationError, as its start does when PostgreSQL is not migrated.
    """
    from sluice.api.main import create_app as make  # noqa: PLC0415 - settings are read without a framework

    return make()
