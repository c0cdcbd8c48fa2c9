"""Checks the protocol's model with spin: as it is, and with each safeguard taken away in turn.

Passes only when the model keeps every property, when every one of its actions was reached, and when every ablation is
caught. Prints one table. Refuses to judge without spin and a C compiler: exits 2 and says what is missing.
Usage: python -m tools.check_model [--only FLAG-OR-SETTING ...] [--trail FLAG]
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.model_settings import ABLATIONS, DEEP, LIVENESS, SETTINGS, Setting

MODEL = Path(__file__).parents[1] / "docs" / "protocol"
DEPTH = 20_000
LONGEST = 300.0
"""Seconds for one run; each takes a second or two."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one run found: the property that broke, or None. `seconds` are of the processor, compiling included."""

    broken: str | None
    states: int
    seconds: float
    unreached: frozenset[tuple[str, int, str]]


def missing() -> str | None:
    """What this machine lacks to check the model, in words; None when it has everything."""
    absent = [name for name in ("spin", "cc") if shutil.which(name) is None]
    if not absent:
        return None
    return f"the model needs {' and '.join(absent)} (Debian: apt-get install spin gcc)"


def check(setting: Setting, flag: str | None = None, *, trail: Path | None = None) -> Verdict:
    """Search every history of this setting, with at most one safeguard taken away.

    With `trail` a counterexample is written there, step by step. Raises CalledProcessError when a tool fails.
    """
    began = _processor_seconds()
    defines = [f"-D{name}={value}" for name, value in setting.defines.items()]
    if setting.liveness:
        defines.append("-DLIVENESS=1")
    if flag is not None:
        defines.append(f"-D{flag}")
    with tempfile.TemporaryDirectory(prefix="model-") as scratch:
        for part in MODEL.glob("*.pml"):
            shutil.copy(part, scratch)
        # -o3: statements that are merged would not be told as unreached.
        _run(scratch, "spin", "-o3", "-a", *defines, "task.pml")
        # Compiling well costs more than a short search. The bounds that a setting keeps, its ablations keep as well.
        kind = [] if flag is None else ["-DNOBOUNDCHECK"]
        kind += ["-DNFAIR=5"] if setting.liveness else ["-DSAFETY", "-DNOCLAIM"]
        optimise = "-O1" if setting in DEEP else "-O0"
        _run(scratch, "cc", "-w", optimise, "-DNOREDUCE", "-DMEMLIM=8000", *kind, "-o", "pan", "pan.c")
        search = ["-a", "-f", "-N", LIVENESS] if setting.liveness else []
        told = _run(scratch, "./pan", f"-m{DEPTH}", "-w20", *search)
        if trail is not None and "errors: 0" not in told:
            trail.write_text(
                _run(scratch, "spin", "-o3", "-t", "-p", "-g", *defines, "task.pml"), encoding="utf-8"
            )
    return Verdict(_broken(told), _states(told), _processor_seconds() - began, _unreached(told))


def never_reached(verdicts: dict[Setting, Verdict]) -> list[str]:
    """Actions that no setting reached: what is never done proves nothing. Redis is in some settings only."""
    found: list[str] = []
    for redis in (0, 1):
        of = [
            verdict.unreached
            for setting, verdict in verdicts.items()
            if setting.defines.get("REDIS", 0) == redis
        ]
        if of:
            left = frozenset.intersection(*of)
            found += [
                f"{process} {what}" for process, _, what in sorted(left) if not redis or process in _OF_REDIS
            ]
    return found


_OF_REDIS = {"Lists", "RedisFaults"}


def _run(directory: str, *command: str) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=LONGEST, check=True)
    return done.stdout


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


_INCOMPLETE = ("max search depth too small", "Search not completed", "out of memory")


def _broken(told: str) -> str | None:
    errors = re.search(r"errors: (\d+)", told)
    if errors is None or (errors[1] == "0" and any(sign in told for sign in _INCOMPLETE)):
        raise AssertionError(f"the search did not come to its end:\n{told[:2000]}")
    if errors[1] == "0":
        return None
    assertion = re.search(r"assertion violated\s+!\(?(\w+)\)?", told)
    if assertion is not None:
        return assertion[1]
    if "acceptance cycle" in told:
        return LIVENESS
    raise AssertionError(f"an error that is none of the model's properties:\n{told[:2000]}")


def _states(told: str) -> int:
    stored = re.search(r"(\d+)(?: states, stored)", told)
    if stored is None:
        raise AssertionError(f"no count of states:\n{told[:2000]}")
    return int(stored[1])


def _unreached(told: str) -> frozenset[tuple[str, int, str]]:
    found: set[tuple[str, int, str]] = set()
    process = ""
    for line in told.splitlines():
        if line.startswith("unreached in"):
            process = line.split()[-1]
        elif (state := re.match(r'\s+(\S+:\d+), state (\d+), "(.*)"', line)) and state[3] != "-end-":
            found.add((process, int(state[2]), f"{state[1]}: {state[3]}"))
    return frozenset(found)


def main(arguments: list[str]) -> int:
    """Run everything asked for; 0 when all is as it must be."""
    parser = argparse.ArgumentParser(
        description="Check the protocol's model, and that every ablation is caught."
    )
    flags = [ablation.flag for ablation in ABLATIONS]
    names = [*(setting.name for setting in (*SETTINGS, *DEEP)), *flags]
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="NAME", help="these settings or ablations"
    )
    parser.add_argument("--deep", action="store_true", help="the settings that take minutes, too")
    parser.add_argument("--trail", choices=flags, metavar="FLAG", help="print what goes wrong, step by step")
    asked = parser.parse_args(arguments)
    if (lack := missing()) is not None:
        print(f"not checked: {lack}", file=sys.stderr)
        return 2
    if asked.trail is not None:
        return _show(asked.trail)
    return _table(asked.only, deep=asked.deep)


def _show(flag: str) -> int:
    ablation = next(one for one in ABLATIONS if one.flag == flag)
    with tempfile.NamedTemporaryFile(prefix="trail-", suffix=".txt") as file:
        check(ablation.setting, flag, trail=Path(file.name))
        print(Path(file.name).read_text(encoding="utf-8"))
    return 0


def _table(only: list[str] | None, *, deep: bool) -> int:
    clean: dict[Setting, Verdict] = {}
    wrong: list[str] = []
    seconds = 0.0
    print(f"{'setting or ablation':28} {'found':28} {'states':>10} {'CPU s':>6}")
    for setting in (*SETTINGS, *DEEP):
        if setting.name in only if only else deep or setting not in DEEP:
            clean[setting] = verdict = check(setting)
            seconds += _line(setting.name, verdict)
            if verdict.broken is not None:
                wrong.append(f"{setting.name}: {verdict.broken}")
    if not only:
        wrong += [f"never reached: {action}" for action in never_reached(clean)]
    for ablation in ABLATIONS:
        if not only or ablation.flag in only:
            verdict = check(ablation.setting, ablation.flag)
            seconds += _line(ablation.flag, verdict)
            if verdict.broken != ablation.breaks:
                wrong.append(
                    f"{ablation.flag}: must break {ablation.breaks}, found {verdict.broken or 'nothing'}"
                )
    print(f"{seconds:.1f} s of one processor")
    for line in wrong:
        print(f"WRONG  {line}")
    return 1 if wrong else 0


def _line(name: str, verdict: Verdict) -> float:
    print(f"{name:28} {verdict.broken or '-':28} {verdict.states:>10,} {verdict.seconds:>6.1f}", flush=True)
    return verdict.seconds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
