"""Each safeguard of the protocol's model is needed: without it, the promise that it is there for breaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tools.check_model import check, missing
from tools.model_settings import ABLATIONS, Ablation

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(300),  # a processor's seconds, on a machine that others use
]


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.flag)
def test_without_a_safeguard_its_promise_breaks(
    ablation: Ablation, record_property: Callable[[str, object], None]
) -> None:
    found = check(ablation.setting, ablation.flag)

    record_property("states", found.states)
    assert found.broken == ablation.breaks
