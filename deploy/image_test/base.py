"""Makes the base image's file system: a small Debian with Python, by debootstrap, kept for the next run.

It refuses to pull from an image registry, and takes the mirror that this machine's apt uses.
"""

import hashlib
import os
import platform
import shutil
import tempfile
from pathlib import Path

from deploy.image_test.steps import Failure, command, step

CACHE = Path("/var/cache/sluice")
SUITE = "bookworm"  # its Python is 3.11, the oldest that Sluice supports
PACKAGES = "ca-certificates,python3,python3-venv"
# What a slim image leaves out too; sources.list names this machine's mirror.
LEFT_OUT = (
    "./etc/apt/sources.list",
    "./usr/share/doc/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
)


def install_tools() -> None:
    """Install buildah and debootstrap where they are missing. Raises Failure when there is no apt-get."""
    missing = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    if not missing:
        return
    with step(f"installed {' and '.join(missing)}"):
        if shutil.which("apt-get") is None:
            raise Failure(f"install {' and '.join(missing)}; there is no apt-get here to do it")
        apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command(*apt, "update", env=quiet)
        command(*apt, "install", "-y", "--no-install-recommends", *missing, env=quiet)


def archive(work: Path) -> Path:
    """The file system as a tar, made under `work` in about 40 s unless a run before has left it in CACHE."""
    recipe = "\n".join((SUITE, PACKAGES, platform.machine(), *LEFT_OUT))
    cached = CACHE / f"base-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.tar"
    if cached.exists():
        with step(f"base file system from {cached}"):
            return cached
    with step(f"base file system by debootstrap ({SUITE}), kept as {cached}"):
        root = work / "debian"
        mirror = apt_mirror()
        # In a mount namespace of its own: what debootstrap mounts ends with it, however it ends.
        command(
            *("unshare", "--mount", "--propagation", "private", "--"),
            *("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, root),
            *([mirror] if mirror else []),
            log=work / "debootstrap.log",
        )
        CACHE.mkdir(parents=True, exist_ok=True)
        handle, half = tempfile.mkstemp(prefix="base-", suffix=".half", dir=CACHE)
        os.close(handle)
        try:
            command("tar", "-C", root, *(f"--exclude={name}" for name in LEFT_OUT), "-cf", half, ".")
            Path(half).replace(cached)
        finally:
            Path(half).unlink(missing_ok=True)
        shutil.rmtree(root)
    return cached


def apt_mirror() -> str | None:
    """Where this machine's apt finds SUITE, or None: then debootstrap's own default is taken."""
    if shutil.which("apt-get") is None:
        return None
    targets = command(
        *("apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)"),
        "Created-By: Packages",
    )
    for line in targets.splitlines():
        codename, component, address = line.split(maxsplit=2)
        if (codename, component) == (SUITE, "main"):
            return address
    return None
