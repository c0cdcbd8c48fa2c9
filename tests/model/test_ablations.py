"""The safeguards of the protocol's model are needed: without one, the promise that it is there for breaks.

Here one for each promise; `make model` takes all of them away in turn.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tools.check_model import check, missing
from tools.model_settings import ABLATIONS, Ablation

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(300),  # a processor's seconds, on a machine that others use
]


ONE_EACH = {ablation.breaks: ablation for ablation in reversed(ABLATIONS)}.values()


@pytest.mark.parametrize("ablation", ONE_EACH, ids=lambda ablation: ablation.flag)
def test_without_a_safeguard_its_promise_breaks(
    ablation: Ablation, record_property: Callable[[str, object], None]
) -> None:
    found = check(ablation.setting, ablation.flag)

    record_property("states", found.states)
    assert found.broken == ablation.breaks
