from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import Any, cast

import pytest

from core.task import FencingToken, ReadyList, Task
from db.broker import Broker
from db.keys import Keys
from db.ready import decode
from db.signals import Signals, _decode
from tests.unit.support import task_id, virtual

KEYS = Keys("p")
CANCELS, DELAYED = KEYS.cancels.encode(), KEYS.delayed.encode()
ID = str(task_id(1)).encode()


class Commands:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.commands = self
        self.said: list[tuple[Any, ...]] = []
        self.speaking = nullcontext[None]

    async def execute_command(self, *words: Any) -> None:
        self.said.append(words)


class Canceled:
    id, fencing_token = task_id(1), FencingToken(4)


@virtual
async def test_a_cancel_names_the_run_that_the_task_had_and_is_understood_by_its_listener() -> None:
    broker = Commands()
    await Signals(cast("Broker", broker), KEYS).tell_canceled(cast("Task", Canceled))

    [(command, channel, text)] = broker.said
    assert (command, channel) == ("PUBLISH", KEYS.cancels)
    assert _decode(KEYS, channel.encode(), text.encode()) == (task_id(1), FencingToken(3))


@virtual
async def test_a_delay_is_told_when_promote_would_look_too_late_for_it_and_only_then() -> None:
    broker = Commands()
    signals = Signals(cast("Broker", broker), KEYS)
    for seconds in (0.0, 0.25, 0.999999, 1.0, 3600.0):
        await signals.tell_delayed(timedelta(seconds=seconds))

    assert [_decode(KEYS, channel.encode(), text.encode()) for _, channel, text in broker.said] == [
        timedelta(seconds=seconds) for seconds in (0.0, 0.25, 0.999999)
    ]


@pytest.mark.parametrize(
    ("channel", "data"),
    [
        (CANCELS, b""),
        (CANCELS, ID),
        (CANCELS, ID + b" x"),
        (CANCELS, ID + b" 1 2"),
        (CANCELS, b"nobody 1"),
        (CANCELS, b"\xff 1"),
        (CANCELS, ID + b" " + b"9" * 5000),
        (CANCELS, None),
        (CANCELS, 7),
        (DELAYED, b""),
        (DELAYED, b"soon"),
        (DELAYED, b"nan"),
        (DELAYED, b"inf"),
        (DELAYED, b"-1"),
        (DELAYED, b"1.1"),
        (DELAYED, b"1e400"),
        (b"\xff", ID),
    ],
)
def test_a_message_that_says_neither_is_passed_over(channel: bytes, data: object) -> None:
    assert _decode(KEYS, channel, data) is None


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"wake",
        ID[:-1],
        ID + b"\n",
        b" " + ID,
        ID.upper().replace(b"0", b"A"),
        b"{" + ID + b"}",
        ID.replace(b"-", b""),
        b"\xff" * 36,
    ],
)
def test_a_list_entry_that_is_no_id_is_none(entry: bytes) -> None:
    assert decode(entry) is None
    assert decode(ID) == task_id(1)


def test_every_name_in_redis_begins_with_the_prefix_and_is_its_own() -> None:
    names = [KEYS.cancels, KEYS.delayed, KEYS.wake("x"), *(KEYS.ready(ReadyList("q", n)) for n in (1, 2))]  # type: ignore[arg-type]
    assert all(name.startswith("p:") for name in names)
    assert len(set(names)) == len(names)
