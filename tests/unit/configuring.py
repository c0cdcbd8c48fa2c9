"""The settings that read the environment, and what they ask for."""

from __future__ import annotations

from pydantic_settings import BaseSettings

from sluice.core.settings import ApiSettings, ClientSettings, ConsumerSettings

DATABASE, REDIS = "postgresql://u:hush@h/d", "redis://:hush@h"
REQUIRED = {"DATABASE_URL": DATABASE, "REDIS_URL": REDIS}
ALL: tuple[type[BaseSettings], ...] = (ApiSettings, ConsumerSettings, ClientSettings)
