from __future__ import annotations

import pytest

from tests.simulation.ablations import ABLATIONS
from tests.simulation.campaign import catch


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ABLATIONS)
def test_a_safeguard_that_is_left_out_is_missed_within_200_seeds(name: str) -> None:
    ablation = ABLATIONS[name]
    caught = catch(ablation, within=200)

    assert caught is not None, f"nobody notices that this is left out: {ablation.safeguard}"
