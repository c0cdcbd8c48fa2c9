"""Checks the protocol's model with spin: as it is, and with each safeguard taken away in turn.

Passes only when the model keeps every property, when every one of its actions was reached, and when every ablation is
caught. Prints one table. Refuses to judge without spin and a C compiler: exits 2 and says what is missing.
Usage: check_model.py [--only FLAG-OR-SETTING ...] [--trail FLAG]
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

MODEL = Path(__file__).parents[1] / "docs" / "protocol"
LIVENESS = "every_task_ends"
DEPTH = 20_000
LONGEST = 300.0
"""Seconds for one run; each takes a second or two."""


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """How often what may happen in one history. `liveness` asks whether every task ends, too, under weak fairness."""

    name: str
    defines: dict[str, int]
    liveness: bool = False


@dataclass(frozen=True, slots=True)
class Ablation:
    """A safeguard taken away, the setting that shows it, and the property that must break."""

    flag: str
    setting: Setting
    breaks: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one run found: the property that broke, or None. `seconds` are of the processor, compiling included."""

    broken: str | None
    states: int
    seconds: float
    unreached: frozenset[tuple[str, int, str]]


LEASE = Setting("lease", {"PAUSES": 1, "KILLS": 1})
CANCEL = Setting("cancel", {"PAUSES": 1, "CANCELS": 1})
RETRY = Setting("retry", {"CANCELS": 1, "RETRIES": 1, "FAILS": 1, "MAX_ATTEMPTS": 2})
ANSWERS = Setting("answers", {"LOST": 1, "PAUSES": 1, "SESSION": 1})
COMMIT = Setting("commit", {"LOST": 2, "SESSION": 1, "CANCELS": 1})
OUTAGE = Setting("outage", {"OUTAGES": 1, "LOST": 1, "SESSION": 1})
DRAIN = Setting("drain", {"DRAINS": 1, "CANCELS": 1, "THREADS": 1, "MAX_ATTEMPTS": 2})
DRAIN_AGAIN = Setting("drain-unanswered", {"DRAINS": 1, "LOST": 1, "PAUSES": 1})
WAKE = Setting("wake", {"REDIS": 1, "FLUSHES": 1, "DOUBLES": 1, "DRAINS": 1})
POISON = Setting("poison", {"POISON": 1, "CAPACITY": 2})
SUSPECTS = Setting("suspects", {"POISONED": 1, "KILLS": 1, "LOST": 1})
SUSPECTS_PAUSED = Setting("suspects-paused", {"POISONED": 1, "PAUSES": 1})
ENDS_KILLED = Setting("ends-killed", {"KILLS": 1}, liveness=True)
ENDS_POISONED = Setting("ends-poisoned", {"POISON": 1}, liveness=True)
ENDS_FAILING = Setting("ends-failing", {"FAILS": 1, "MAX_ATTEMPTS": 2}, liveness=True)
ENDS_UNANSWERED = Setting("ends-unanswered", {"LOST": 1}, liveness=True)
ENDS_FLUSHED = Setting("ends-flushed", {"REDIS": 1, "FLUSHES": 1}, liveness=True)

SETTINGS = (
    LEASE,
    CANCEL,
    RETRY,
    ANSWERS,
    COMMIT,
    OUTAGE,
    DRAIN,
    DRAIN_AGAIN,
    WAKE,
    POISON,
    SUSPECTS,
    SUSPECTS_PAUSED,
    ENDS_KILLED,
    ENDS_POISONED,
    ENDS_FAILING,
    ENDS_UNANSWERED,
    ENDS_FLUSHED,
)

DEEP = (
    Setting("deep-suspects", {"POISONED": 1, "KILLS": 1, "PAUSES": 1, "LOST": 1}),
    Setting("deep-lease", {"PAUSES": 1, "KILLS": 2, "LOST": 1}),
    Setting("deep-pauses", {"PAUSES": 2, "LOST": 1}),
    Setting("deep-cancel", {"PAUSES": 1, "CANCELS": 1, "RETRIES": 1, "SESSION": 1}),
    Setting("deep-outages", {"OUTAGES": 2, "CANCELS": 1, "LOST": 1}),
    Setting("deep-outage", {"OUTAGES": 1, "KILLS": 1, "LOST": 1, "SESSION": 1}),
    Setting("deep-drain", {"DRAINS": 1, "KILLS": 1, "PAUSES": 1, "LOST": 1}),
    Setting("deep-ends-paused", {"PAUSES": 1, "LOST": 1}, liveness=True),
    Setting("deep-ends-outage", {"OUTAGES": 1, "KILLS": 1}, liveness=True),
    Setting("deep-ends-canceled", {"CANCELS": 1, "RETRIES": 1, "FAILS": 1}, liveness=True),
    Setting("deep-ends-drained", {"DRAINS": 1, "LOST": 1}, liveness=True),
    Setting("deep-ends-committed", {"SESSION": 1, "LOST": 1}, liveness=True),
    Setting("deep-ends-flushed", {"REDIS": 1, "FLUSHES": 1, "KILLS": 1}, liveness=True),
)
"""Some minutes: for a change of the protocol."""

ABLATIONS = (
    Ablation("FINISH_BY_ID", ANSWERS, "completed_twice"),
    Ablation("FINISH_BY_STATUS", LEASE, "earlier_try_wrote"),
    Ablation("FINISH_WITHOUT_STEP", COMMIT, "completed_twice"),
    Ablation("BEAT_UNFENCED", LEASE, "started_without_claim"),
    Ablation("STALE_REAP", LEASE, "end_overwritten"),
    Ablation("CANCEL_UNGUARDED", CANCEL, "end_overwritten"),
    Ablation("NO_LOCAL_DEADLINE", CANCEL, "started_after_cancel"),
    Ablation("NO_REAPER", ENDS_KILLED, LIVENESS),
    Ablation("NO_RECONCILE", ENDS_UNANSWERED, LIVENESS),
    Ablation("RECONCILE_AT_FIRST_SIGHT", LEASE, "started_without_claim"),
    Ablation("EDGE_TRIGGERED", ENDS_FLUSHED, LIVENESS),
    Ablation("ATTEMPT_NOT_COUNTED", RETRY, "too_many_tries"),
    Ablation("CRASH_NOT_COUNTED", ENDS_POISONED, LIVENESS),
    Ablation("SUSPECTS_TOGETHER", POISON, "neighbour_poisoned"),
    Ablation("UNNAMED_SUSPECT_CHARGED", POISON, "neighbour_poisoned"),
    Ablation("EFFECTS_APART", ANSWERS, "effects_twice"),
    Ablation("COMPLETE_ALONE", COMMIT, "completion_without_effects"),
    Ablation("READ_DECIDES", COMMIT, "ran_beside_its_completion"),
    Ablation("MESSAGE_WITHOUT_TOKEN", RETRY, "stopped_while_it_was_ours"),
    Ablation("REAP_AFTER_OUTAGE", OUTAGE, "charged_without_a_death"),
    Ablation("DRAIN_STOPS_BEAT_FIRST", DRAIN, "charged_without_a_death"),
    Ablation("DRAIN_FORGETS_FORMER_SELF", DRAIN_AGAIN, "held_after_drain"),
    Ablation("RELEASE_BEFORE_STOPPED", DRAIN, "two_at_once"),
    Ablation("SLOT_BEFORE_STOPPED", DRAIN, "over_capacity"),
)


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
