"""What the rows say afterwards: how long it took, and whether each task ended as it should, once. Runs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.stage import BrokenRun, Stage

# A row's token grows with every change of its status: 2 is one claim and one finish, more is a claim too many.
_COUNT = """
SELECT count(*) AS tasks,
       count(*) FILTER (WHERE status <> 'completed') AS lost,
       count(*) FILTER (WHERE fencing_token > 2) AS repeated,
       CAST(extract(epoch FROM max(finished_at) - min(started_at)) AS double precision) AS seconds
  FROM tasks
"""


@dataclass(frozen=True, slots=True)
class Audit:
    """`seconds`: from the first start to the last end, by the database's clock."""

    tasks: int
    lost: int
    repeated: int
    seconds: float

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.seconds

    def facts(self) -> dict[str, Any]:
        """For a run."""
        return {
            "tasks": self.tasks,
            "seconds": round(self.seconds, 4),
            "lost": self.lost,
            "repeated": self.repeated,
        }


async def audit(stage: Stage, side: str, n: int) -> Audit:
    """Every task completed, each once. Raises BrokenRun when one was lost or done twice: then there is no rate."""
    async with stage.connection() as connection:
        found = await connection.fetchrow(_COUNT)
    if found is None or found["tasks"] != n or found["lost"] or found["repeated"]:
        raise BrokenRun(f"{side}: of {n} tasks {found}: lost or repeated, so there is no rate")
    return Audit(n, found["lost"], found["repeated"], found["seconds"])
