"""Builds the image by buildah in a store of its own; it refuses to touch the machine's images and containers."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.image_test.steps import Failure, command, step

BASE = "localhost/sluice-base:test"
IMAGE = "localhost/sluice:test"


@dataclass(frozen=True)
class Image:
    """A built image: its files, laid out under `root`, and what its configuration tells a container runtime."""

    root: Path
    command: Sequence[str]
    environment: Mapping[str, str]
    healthcheck: Sequence[str]
    stop_signal: str
    user: str
    workdir: str


class Store:
    """buildah's images and containers under one directory, which the caller removes."""

    def __init__(self, place: Path) -> None:
        self._log = place / "buildah.log"
        self._environment = {**os.environ, "TMPDIR": str(place)}
        self._options = (
            *("--root", str(place / "store"), "--runroot", str(place / "run")),
            *("--storage-driver", "vfs"),  # works on every file system
        )

    def import_base(self, archive: Path) -> None:
        """Make the base image from a tar of its file system."""
        with step("base image"):
            container = self._ask("from", "scratch")
            self._do("add", container, archive, "/")
            self._do("commit", "--rm", container, BASE)

    def build(self, context: Path, options: Sequence[str]) -> Image:
        """Build context/Dockerfile on the base image and lay its files out. Raises Failure with the build's end."""
        with step("Dockerfile built"):
            self._do(
                # The OCI format has no HEALTHCHECK.
                *("bud", "--isolation", "chroot", "--format", "docker", "--pull-never"),
                *("--build-arg", f"BASE_IMAGE={BASE}", *options),
                *("--tag", IMAGE, "--file", context / "Dockerfile", context),
            )
        with step("image laid out"):
            root = Path(self._ask("mount", self._ask("from", "--pull-never", IMAGE)))
            about = json.loads(self._ask("inspect", "--type", "image", IMAGE))
        return _image(root, about["Docker"]["config"])

    def _do(self, *words: str | Path) -> None:
        command("buildah", *self._options, *words, env=self._environment, log=self._log)

    def _ask(self, *words: str | Path) -> str:
        return command("buildah", *self._options, *words, env=self._environment).strip()


def _image(root: Path, config: Mapping[str, object]) -> Image:
    match config:
        case {
            "Cmd": [*words],
            "Env": [*environment],
            "Healthcheck": {"Test": ["CMD", *healthcheck]},
            "StopSignal": str(stop_signal),
            "User": str(user),
            "WorkingDir": str(workdir),
        } if not config.get("Entrypoint"):
            return Image(
                root=root,
                command=[str(word) for word in words],
                environment=dict(str(entry).split("=", 1) for entry in environment),
                healthcheck=[str(word) for word in healthcheck],
                stop_signal=stop_signal,
                user=user,
                workdir=workdir,
            )
        case _:
            raise Failure(
                "the image needs CMD, HEALTHCHECK in exec form, STOPSIGNAL, USER and WORKDIR, and no ENTRYPOINT, "
                f"but has {json.dumps(config, indent=1)}"
            )
