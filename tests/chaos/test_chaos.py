"""With SLUICE_TEST_FULL=1, half a minute for each third of the faults of `make chaos`, by fixed seeds.

How soon things recover is told and not judged here: the test processes share the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.chaos.gathering import gather
from tests.chaos.history import complaints, histories, read
from tests.chaos.plan import CLASSES, plan
from tests.chaos.report import judge
from tests.chaos.run import Script, perform
from tests.chaos.stand import Settings
from tests.support.consuming import FULL

SECONDS = 30
QUIET = 1.0
LONGEST = 6.0
"""Seconds: a lock that outlasts its timeout shows as much as a longer one."""
SEEDS = (11, 12, 13)
LATE_EXIT = 4.0
"""Seconds: the end of an interpreter waits for a core here, which four test processes and their servers share."""


@pytest.fixture
def directory(run_directory: Path) -> Path:
    """Short and open: the servers' sockets lie below it."""
    path = Path(mkdtemp(prefix="chaos-", dir=run_directory))
    path.chmod(0o711)
    return path


@pytest.mark.skipif(not FULL, reason="takes minutes: SLUICE_TEST_FULL=1 asks for it, as .ci/run does")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("turn", range(len(SEEDS)))
async def test_while_everything_breaks_nothing_is_lost_and_nothing_happens_twice(
    turn: int, directory: Path, record_property: Callable[[str, object], None]
) -> None:
    seed, deck = SEEDS[turn], CLASSES[turn :: len(SEEDS)]
    rounds = plan(seed, SECONDS, quiet=QUIET, deck=deck, longest=LONGEST)
    script = Script(seed, rounds, QUIET, calm=1.0, measure=1.5, most_rate=60.0, settings=Settings(queues=40))
    where = directory / "run"
    facts = await perform(script, where, lambda _what, _share: None)

    evidence = gather(read(histories(where)), facts, complaints(where))

    found = judge(replace(evidence, late_exit=LATE_EXIT))

    assert found.clean, "\n".join([f"seed {seed}:", *found.stories()])
    assert found.counts["completed"] > SECONDS * 10
    record_property("never occurred", ", ".join(kind.name for kind in deck if not found.occurred[kind.name]))
