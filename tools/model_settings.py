"""What is asked of the protocol's model: settings to search, and safeguards to take away."""

from __future__ import annotations

from dataclasses import dataclass

LIVENESS = "every_task_ends"


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """How often what may happen in one history. `liveness` asks whether every task ends, too, under weak fairness.

    `slow`: the search takes three to sixteen seconds of a processor: `make model` makes it, and `make test` does not.
    """

    name: str
    defines: dict[str, int]
    liveness: bool = False
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Ablation:
    """A safeguard taken away, the setting that shows it, and the property that must break."""

    flag: str
    setting: Setting
    breaks: str


LEASE = Setting("lease", {"PAUSES": 1, "KILLS": 1}, slow=True)
CANCEL = Setting("cancel", {"PAUSES": 1, "CANCELS": 1}, slow=True)
RETRY = Setting("retry", {"CANCELS": 1, "RETRIES": 1, "FAILS": 1, "MAX_ATTEMPTS": 2}, slow=True)
ANSWERS = Setting("answers", {"LOST": 1, "PAUSES": 1, "SESSION": 1}, slow=True)
COMMIT = Setting("commit", {"LOST": 2, "SESSION": 1, "CANCELS": 1})
OUTAGE = Setting("outage", {"OUTAGES": 1, "LOST": 1, "SESSION": 1}, slow=True)
DRAIN = Setting("drain", {"DRAINS": 1, "CANCELS": 1, "THREADS": 1, "MAX_ATTEMPTS": 2}, slow=True)
DRAIN_AGAIN = Setting("drain-unanswered", {"DRAINS": 1, "LOST": 1, "PAUSES": 1}, slow=True)
WAKE = Setting("wake", {"REDIS": 1, "FLUSHES": 1, "DOUBLES": 1, "DRAINS": 1})
POISON = Setting("poison", {"POISON": 1, "CAPACITY": 2})
SUSPECTS = Setting("suspects", {"POISONED": 1, "KILLS": 1, "LOST": 1})
SUSPECTS_PAUSED = Setting("suspects-paused", {"POISONED": 1, "PAUSES": 1})
ENDS_KILLED = Setting("ends-killed", {"KILLS": 1}, liveness=True, slow=True)
ENDS_POISONED = Setting("ends-poisoned", {"POISON": 1}, liveness=True, slow=True)
ENDS_FAILING = Setting("ends-failing", {"FAILS": 1, "MAX_ATTEMPTS": 2}, liveness=True, slow=True)
ENDS_UNANSWERED = Setting("ends-unanswered", {"LOST": 1}, liveness=True, slow=True)
ENDS_FLUSHED = Setting("ends-flushed", {"REDIS": 1, "FLUSHES": 1}, liveness=True, slow=True)

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
