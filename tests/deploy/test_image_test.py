import configparser
import os
import sys
from pathlib import Path

import pytest

from deploy.image_test import __main__ as image_test
from deploy.image_test.pip_access import pip_access
from deploy.image_test.steps import Failure, command


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose pip reads a file-based index, a directory of wheels and a certificate of its own."""
    place = tmp_path / "mirror" / "simple"
    place.mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "own.pem").write_text("certificate")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = tmp_path / "settings.conf"
    settings.write_text(
        f"[global]\nextra-index-url = {place.as_uri()}\n    https://index.invalid/simple\ntarget = /elsewhere\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "own.pem"))
    return place


def test_the_build_reaches_packages_the_way_pip_does_here(index: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    access = pip_access(work)
    secrets = {word for word in access.options if word.startswith("id=")}
    mounts = {word for word in access.options if word.endswith(":ro")}
    assert secrets == {f"id=pip.conf,src={work}/pip.conf", f"id=ca.pem,src={tmp_path}/own.pem"}
    # The pages of an index name files that lie beside it.
    assert {f"{index.parent}:{index.parent}:ro", f"{tmp_path}/wheels:{tmp_path}/wheels:ro"} <= mounts
    written = configparser.RawConfigParser()
    written.read(work / "pip.conf")
    assert written["global"]["extra-index-url"].split() == [index.as_uri(), "https://index.invalid/simple"]
    assert written["global"]["find-links"] == str(tmp_path / "wheels")
    assert "target" not in written["global"]
    assert set(access.addresses) >= {index.as_uri(), "https://index.invalid/simple"}


def test_the_settings_are_nobody_elses_to_read(index: Path, tmp_path: Path) -> None:
    pip_access(tmp_path)
    assert (tmp_path / "pip.conf").stat().st_mode & 0o077 == 0


def test_without_root_it_skips_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("CI", raising=False)
    assert image_test.main() == 0
    assert "SKIP: needs root on Linux" in capsys.readouterr().out


def test_in_ci_a_test_that_cannot_run_has_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("CI", "true")
    assert image_test.main() == 1
    assert "needs root on Linux" in capsys.readouterr().err


def test_a_command_that_fails_tells_its_last_lines() -> None:
    with pytest.raises(Failure, match=r"exited 3:\n    the reason"):
        command(sys.executable, "-c", "import sys; print('the reason', file=sys.stderr); sys.exit(3)")


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(Failure, match="no-such-program is not installed"):
        command("no-such-program")
