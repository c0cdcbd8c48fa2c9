"""Which safeguards of db/sql a simulated store leaves out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Broken:
    """Safeguards that are left out, so that a test can show that it would notice. All False: as in db/sql."""

    claim_any_status: bool = False
    claim_early: bool = False
    claim_not_counted: bool = False
    finish_by_id: bool = False
    finish_by_status: bool = False
    fail_by_id: bool = False
    give_back_by_id: bool = False
    no_token_step: bool = False
    """A finish leaves the token as it is: it would match twice."""
    give_back_no_token_step: bool = False
    reap_no_token_step: bool = False
    cancel_no_token_step: bool = False
    give_back_charged: bool = False
    cancel_unguarded: bool = False
    beat_unfenced: bool = False
    """A beat revives who was declared dead."""
    stale_reap: bool = False
    """Reap acts on what it saw, by id alone."""
    reap_the_living: bool = False
    """A consumer that is alive is not looked for."""
    reap_charged: bool = False
    crash_not_counted: bool = False
    unnamed_suspects_charged: bool = False
    """The last crash is charged to whatever a dead consumer held."""
    prune_unguarded: bool = False
    dead_by_the_clock: bool = False
    """Whose lease has run out by the database's clock counts as dead."""
    lanes_behind_a_limit: bool = False
    """A look reads so many rows of a queue, and asks afterwards which of them are served."""


INTACT = Broken()
