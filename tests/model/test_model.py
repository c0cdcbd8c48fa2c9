"""The protocol's model, docs/protocol, keeps its promises in every history, and every action of it is taken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tools.check_model import Verdict, check, missing, never_reached
from tools.model_settings import SETTINGS, Setting

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(300),  # a processor's seconds, on a machine that others use
]

VERDICTS: dict[Setting, Verdict] = {}


def verdict(setting: Setting) -> Verdict:
    if setting not in VERDICTS:
        VERDICTS[setting] = check(setting)
    return VERDICTS[setting]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_history_keeps_every_promise(
    setting: Setting, record_property: Callable[[str, object], None]
) -> None:
    found = verdict(setting)

    record_property("states", found.states)
    assert found.broken is None


def test_every_action_of_the_model_was_taken_in_some_history() -> None:
    assert never_reached({setting: verdict(setting) for setting in SETTINGS}) == []
