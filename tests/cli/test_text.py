from __future__ import annotations

import json
import unicodedata

import pytest

from sluice.cli.text import printable, to_json

EVIL = "\x1b[2J\x1b]0;owned\x07 \x9b31m \x7f \u202etxt\u202c \u200b\u2066 \ud800 \U000e0041\r\n\ttail"
JOINERS = "\u200c\u200d"


def _obeyed(text: str) -> list[str]:
    return [
        character
        for character in text
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(character)
        in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    ]


def test_no_character_that_a_terminal_obeys_or_hides_is_left() -> None:
    assert _obeyed(EVIL)
    assert _obeyed(printable(EVIL)) == []
    assert printable(EVIL).startswith(r"\x1b[2J\x1b]0;owned\x07 \x9b31m \x7f \u202etxt")
    assert printable(EVIL).endswith(r"\ud800 \U000e0041\r\n\ttail")


def test_every_control_character_and_lone_surrogate_of_unicode_is_escaped() -> None:
    everything = "".join(map(chr, range(0x110000)))
    assert _obeyed(printable(everything)) == []


@pytest.mark.parametrize("text", ["Grüße, 世界", "👩\u200d🚀 off", "[red]markup[/red]", r"C:\new"])
def test_ordinary_text_of_any_script_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("value", [EVIL, {EVIL: [EVIL, 1, None, True]}, {"ü": "\u2028"}, [], 1 << 70, 0.1])
def test_json_is_safe_to_look_at_and_still_the_same_value(value: object) -> None:
    text = to_json(value)
    assert _obeyed(text) == []
    assert json.loads(text) == value
    assert json.loads(to_json(value, indent=2)) == value
