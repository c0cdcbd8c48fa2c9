"""Hands this machine's way to the package index into the build: settings, certificates, directories.

It refuses everything that belongs in no image: the settings come as build secrets, the directories as mounts.
"""

import ast
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deploy.image_test.steps import command

# Where packages come from and how to reach it. Settings that say where they go would break the build.
_WANTED = {
    "default-timeout",
    "extra-index-url",
    "find-links",
    "index-url",
    "no-index",
    "proxy",
    "retries",
    "timeout",
    "trusted-host",
}
_PLACES = ("index-url", "extra-index-url", "find-links")
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class PipAccess:
    """What the build is given. `addresses` must be found nowhere in the image."""

    options: tuple[str, ...]
    addresses: tuple[str, ...]


def pip_access(work: Path) -> PipAccess:
    """Read pip's settings as pip sees them here, and write what the build needs of them under `work`."""
    settings = _settings()
    config = work / "pip.conf"
    config.touch(mode=0o600)
    lines = [
        f"{name} = {value.strip()}".replace("\n", "\n    ")
        for name, value in settings.items()
        if name in _WANTED
    ]
    config.write_text("\n".join(["[global]", *lines, ""]))
    options = ["--secret", f"id=pip.conf,src={config}"]
    authority = Path(settings.get("cert") or os.environ.get("SSL_CERT_FILE") or _CERTIFICATES)
    if authority.is_file():
        options += ["--secret", f"id=ca.pem,src={authority}"]
    places = [word for name in _PLACES for word in settings.get(name, "").split()]
    for directory in sorted({found for place in places if (found := _directory(place))}):
        options += ["--volume", f"{directory}:{directory}:ro"]
    return PipAccess(options=tuple(options), addresses=tuple(place for place in places if "://" in place))


def _settings() -> dict[str, str]:
    """Each setting by its name alone; later scopes win, the environment last, as in pip."""
    found: dict[str, dict[str, str]] = {}
    for line in command(sys.executable, "-m", "pip", "config", "list").splitlines():
        key, _, value = line.partition("=")
        scope, _, name = key.rpartition(".")
        found.setdefault(scope, {})[name] = str(ast.literal_eval(value))
    return {
        name: value
        for scope in ("global", "install", ":env:")
        for name, value in found.get(scope, {}).items()
    }


def _directory(place: str) -> Path | None:
    """The directory to mount for an index or a find-links entry that lies on this machine."""
    address = urlsplit(place)
    if address.scheme not in {"", "file"}:
        return None
    directory = Path(unquote(address.path))
    if not directory.is_absolute() or not directory.is_dir():
        return None
    # The pages of an index point at files beside it.
    beside = directory.parent
    return beside if address.scheme == "file" and beside != beside.parent else directory
