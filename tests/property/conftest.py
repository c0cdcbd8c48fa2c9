"""How hypothesis works here: no deadlines on a machine that is shared, and in CI the same examples in every run."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("sluice", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("sluice")
