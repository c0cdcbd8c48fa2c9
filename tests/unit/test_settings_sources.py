from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path

import pytest

from sluice.core.errors import ConfigurationError
from sluice.core.settings import ConsumerSettings, environment, load

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def test_env_is_read_below_the_environment_and_above_the_defaults(
    env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("LEASE_SECONDS=7\nDRAIN_SECONDS=8\nPOSTGRES_PASSWORD=x\nunknown=1\n")
    env.setenv("DRAIN_SECONDS", "9")

    settings = load(ConsumerSettings)

    assert (settings.lease, settings.drain) == (timedelta(seconds=7), timedelta(seconds=9))


def test_a_wrong_value_in_env_is_named_too(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LEASE_SECONDS=soon\n")
    with pytest.raises(ConfigurationError, match=r"^LEASE_SECONDS is 'soon': "):
        load(ConsumerSettings)


def test_an_env_file_that_is_no_text_is_a_mistake_and_no_crash(
    env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(ConfigurationError, match=r"^\.env is not UTF-8"):
        load(ConsumerSettings)


def test_an_env_file_that_may_not_be_read_is_a_mistake_and_no_crash(
    env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / ".env").touch()
    env.setattr("dotenv.main.open", refuse, raising=False)  # root, who may run the tests, may read everything
    with pytest.raises(ConfigurationError, match=r"^\.env cannot be read: Permission denied$"):
        load(ConsumerSettings)


def test_an_option_of_the_command_line_wins_unless_it_was_not_given(env: pytest.MonkeyPatch) -> None:
    env.setenv("QUEUES", "mail")

    assert load(ConsumerSettings, queues=None).queue_names == ("mail",)
    assert load(ConsumerSettings, queues="a,b").queue_names == ("a", "b")
    with pytest.raises(ConfigurationError, match=r"^QUEUES is 'a b': "):
        load(ConsumerSettings, queues="a b")


def test_a_child_inherits_the_environment_with_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_URL", "http://one")
    monkeypatch.setenv("QUEUES", "kept")

    child = environment(SLUICE_URL="http://two")

    assert (child["SLUICE_URL"], child["QUEUES"]) == ("http://two", "kept")
