"""The protocol's model, docs/protocol, keeps its promises in every history of the settings that are searched at once.

`make model` takes the slow ones as well, and asks whether every action of the model was taken somewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tools.check_model import check, missing
from tools.model_settings import SETTINGS, Setting

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(300),  # a processor's seconds, on a machine that others use
]

QUICK = [setting for setting in SETTINGS if not setting.slow]


@pytest.mark.parametrize("setting", QUICK, ids=lambda setting: setting.name)
def test_every_history_keeps_every_promise(
    setting: Setting, record_property: Callable[[str, object], None]
) -> None:
    found = check(setting)

    record_property("states", found.states)
    assert found.broken is None
