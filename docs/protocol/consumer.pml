/* A consumer: the walk of each task through it, its lease, its looks at the rows, its drain. */

mtype = { idle, sent, orphan, answered, naming, running, lingering, committing, committed }; /* of a walk */
mtype = { nothing, finish, finish_alone, fail, give_back };                                  /* an outcome to be written */
mtype = { up, draining, gone, dead };                                                        /* of a process */

mtype phase[C * T] = idle, write[C * T] = nothing;
mtype life[C] = up;
bool trusted[C] = true; /* lease.trusted (L3) */
bool former[C * T];     /* this walk began under a former id */
bool since[C * T];      /* this claim has been in flight since reconcile's last look (L4) */
bool leave[C];          /* what the rows hold for the former id is still to be given back (L5) */
bool msg[C * T];        /* a cancel message on its way (S3) */
byte slots[C];          /* taken (C2) */

#define PRESENT(c) (life[c] == up || life[c] == draining)
#define ME(c, r) (c + 2 * former[r]) /* FORMER(c) for a walk of the former self */
#define IN_FLIGHT(r) (phase[r] == sent || phase[r] == answered)
#define RUNS(r) (phase[r] == naming || phase[r] == running || phase[r] == committing || phase[r] == committed)
#define HANDLER(r) (phase[r] == running || phase[r] == lingering || phase[r] == committing)
#define BELIEVES(c, t) (phase[AT(c, t)] == running && held[AT(c, t)] != revoked && trusted[c] && !former[AT(c, t)])

/* ---- safeguards that can be taken away ---- */
#ifdef NO_LOCAL_DEADLINE
#define MAY_START(c) true
#else
#define MAY_START(c) trusted[c]
#endif
#ifdef SUSPECTS_TOGETHER
#define SUSPECT_BESIDE(c, t) false
#else
#define SUSPECT_BESIDE(c, t) (SUSPECTED(t) && SUSPECTED(1 - t) && \
    (phase[AT(c, 1 - t)] == naming || phase[AT(c, 1 - t)] == running))
#endif
#define MAY_START_NOW(c, t, r) (life[c] == up && !former[r] && MAY_START(c) && !SUSPECT_BESIDE(c, t))
#define NEEDS_NAME(c, t, r) (SUSPECTED(t) && MAY_START_NOW(c, t, r))
#ifdef MESSAGE_WITHOUT_TOKEN
#define MEANT(r) true
#else
#define MEANT(r) (held[r] != current)
#endif
#ifdef DRAIN_STOPS_BEAT_FIRST
#define BEATS(c) (life[c] == up)
#else
#define BEATS(c) PRESENT(c)
#endif
#ifdef RECONCILE_AT_FIRST_SIGHT
#define SEEN_ENOUGH(r) true
#else
#define SEEN_ENOUGH(r) (stray[r] && !unsettled)
#endif

/* ---- steps ---- */
inline leaves(r) { /* the walk is over; what it still has to say is in write[r] */
    phase[r] = idle; held[r] = none; former[r] = false; since[r] = false
}
inline frees(c, r) { leaves(r); slots[c]-- }
inline put(r, what) { write[r] = what; wtoken[r] = (held[r] == current -> current : old) }

inline still_alone(t) {
    MUST(two_at_once, !(BELIEVES(0, t) && BELIEVES(1, t)))
}

/* One turn of the loop: the claim's answer, the look at id and lease, the start (R1, L3). */
inline start_or_return(c, t, r) {
    if
    :: MAY_START_NOW(c, t, r) ->
        phase[r] = running; since[r] = false;
        MUST(started_after_cancel, !(status[t] == canceled && canceled_pending[t]));
        MUST(started_without_claim, held[r] == current || held[r] == revoked || !trusted[c]);
        still_alone(t);
        MUST(over_capacity, HANDLER(AT(c, 0)) + HANDLER(AT(c, 1)) <= CAPACITY)
    :: else -> put(r, give_back); frees(c, r)
    fi
}

/* kill -9: what was sent may still arrive, what was not is lost. */
inline dies(c) {
    life[c] = dead; trusted[c] = false; at_fault[c] = true; was_at_fault[c] = true; leave[c] = false; slots[c] = 0;
    falls_silent(AT(c, 0)); falls_silent(AT(c, 1))
}
inline falls_silent(r) {
    phase[r] = (phase[r] == sent || phase[r] == orphan -> orphan : idle);
    former[r] = phase[r] == orphan && former[r];
    held[r] = none; write[r] = nothing; wtoken[r] = none; stray[r] = false; since[r] = false; msg[r] = false
}

/* A new id (L1): rows, runs and statements of the old one are the former self's. */
inline new_id(c) {
    owner[0] = (owner[0] == c -> FORMER(c) : owner[0]); owner[1] = (owner[1] == c -> FORMER(c) : owner[1]);
    former[AT(c, 0)] = phase[AT(c, 0)] != idle; former[AT(c, 1)] = phase[AT(c, 1)] != idle;
    stray[AT(c, 0)] = false; stray[AT(c, 1)] = false; since[AT(c, 0)] = false; since[AT(c, 1)] = false;
    former_suspect[c] = suspect[c]; suspect[c] = NO_TASK;
    was_at_fault[c] = at_fault[c]; at_fault[c] = false; alive[c] = true; trusted[c] = true
}

/* After a COMMIT without an answer (R6). */
inline unanswered(c, r) {
#if defined(COMPLETE_ALONE)
    put(r, finish_alone); frees(c, r)
#elif defined(READ_DECIDES)
    if /* what a read sees: not completed, under our token. So the handler runs again where it is. */
    :: held[r] == current -> phase[r] = running
    :: else -> frees(c, r)
    fi
#else
    put(r, give_back); frees(c, r)
#endif
}

/* The walk of task t through consumer c, and the statements that it has in flight. */
proctype Walk(byte c, t, r) {
end:
    do
    /* pull, schedule: a slot first, then the claim, under trust only */
    :: atomic { life[c] == up && MAY_START(c) && phase[r] == idle && slots[c] < CAPACITY && LISTED(t) &&
            status[t] == pending && !away ->
        unlist(t); slots[c]++; phase[r] = sent }

    /* the claim reaches PostgreSQL: one row, or none when somebody was there before */
    :: atomic { phase[r] == sent && !away && status[t] == pending ->
        claim_row(t, ME(c, r)); held[r] = current; phase[r] = answered }
    :: atomic { phase[r] == sent && !away && status[t] != pending -> frees(c, r) }
    /* no answer: nobody here knows whether the statement arrived, or still will */
    :: atomic { phase[r] == sent && lost > 0 -> lost--; phase[r] = orphan; since[r] = false; slots[c]-- }
    :: atomic { phase[r] == answered && lost > 0 -> lost--; frees(c, r) }
    :: atomic { phase[r] == orphan && !away && status[t] == pending -> claim_row(t, ME(c, r)); leaves(r) }
    :: atomic { phase[r] == orphan -> leaves(r) }

    :: atomic { phase[r] == answered && write[r] == nothing && !NEEDS_NAME(c, t, r) -> start_or_return(c, t, r) }
    /* a suspect's name first (U2): under a living id; the answer may be lost, and then it does not run */
    :: atomic { phase[r] == answered && write[r] == nothing && NEEDS_NAME(c, t, r) -> phase[r] = naming; since[r] = false }
    :: atomic { phase[r] == naming && write[r] == nothing && !away && (former[r] || !alive[c]) ->
        put(r, give_back); frees(c, r) }
    :: atomic { phase[r] == naming && write[r] == nothing && !away && !former[r] && alive[c] ->
        suspect[c] = t;
        if
        :: start_or_return(c, t, r)
        :: lost > 0 -> lost--; put(r, give_back); frees(c, r)
        fi }
    :: atomic { phase[r] == naming && write[r] == nothing && lost > 0 -> lost--; put(r, give_back); frees(c, r) }

    /* the handler ends: success, failure, or because it was stopped */
    :: atomic { phase[r] == running && write[r] == nothing && !DIES(t) -> put(r, finish); frees(c, r) }
    :: atomic { FAILS && phase[r] == running && write[r] == nothing -> put(r, fail); frees(c, r) }
    :: atomic { phase[r] == running && write[r] == nothing && (!trusted[c] || former[r] || life[c] == draining) ->
        put(r, give_back);
#ifdef RELEASE_BEFORE_STOPPED
        held[r] = old
#else
        frees(c, r)
#endif
        }
    :: atomic { phase[r] == running && DIES(t) -> dies(c) }
    /* a thread that is past its timeout: its row is written, its slot stays taken until it returns (C2) */
    :: atomic { THREADS && phase[r] == running && write[r] == nothing ->
        put(r, fail); phase[r] = lingering; held[r] = none;
#ifdef SLOT_BEFORE_STOPPED
        slots[c]--
#endif
        }
    :: atomic { phase[r] == lingering ->
#ifdef SLOT_BEFORE_STOPPED
        leaves(r)
#else
        frees(c, r)
#endif
        }

    /* a cancel message names the token of the run that it means (S3) */
    :: atomic { msg[r] && phase[r] == running && write[r] == nothing && MEANT(r) ->
        msg[r] = false; MUST(stopped_while_it_was_ours, held[r] != current);
        put(r, give_back); frees(c, r) }
    :: atomic { msg[r] && !(phase[r] == running && MEANT(r)) -> msg[r] = false }

    /* ctx.session() (R6): the fenced completion is the last statement of the handler's transaction */
#ifdef EFFECTS_APART
    :: atomic { SESSION && t == 0 && phase[r] == running && !away && write[r] == nothing ->
        effects[t]++; MUST(effects_twice, effects[t] == 1); put(r, finish); frees(c, r) }
#else
    :: atomic { SESSION && t == 0 && phase[r] == running && !away && !LOCKED(t) && held[r] == current ->
        tx[r] = true; phase[r] = committing }
#endif
    :: atomic { SESSION && t == 0 && phase[r] == running && !away && !LOCKED(t) && held[r] != current -> frees(c, r) }
    :: atomic { tx[r] && !away ->
        tx[r] = false; effects[t]++; finish_row(t);
        MUST(effects_twice, effects[t] == 1);
        MUST(ran_beside_its_completion, phase[r] != running);
        phase[r] = (phase[r] == committing -> committed : phase[r]) }
    :: atomic { phase[r] == committed -> frees(c, r) }
    /* the answer to the COMMIT is lost: before it took effect, after it did, or the server rolled back */
    :: atomic { (phase[r] == committing || phase[r] == committed) && lost > 0 && write[r] == nothing ->
        lost--; unanswered(c, r) }
    :: atomic { tx[r] && phase[r] != committing -> tx[r] = false }

    /* complete: fenced, kept, and sent again as it stands while there is no answer (R2, R5) */
    :: atomic { write[r] != nothing && !away && !LOCKED(t) ->
        if
        :: write[r] == finish && FINISH_FITS(t, r) ->
            earlier = wtoken[r] != current; finish_row(t); MUST(earlier_try_wrote, !earlier)
#ifdef COMPLETE_ALONE
        :: write[r] == finish_alone && wtoken[r] == current ->
            finish_row(t); MUST(completion_without_effects, effects[t] == 1)
#endif
        :: write[r] == fail && wtoken[r] == current -> fail_row(t)
        :: write[r] == give_back && wtoken[r] == current -> give_back_row(t)
        :: else /* no row: no longer ours, which is counted */
        fi;
        if
        :: write[r] = nothing; wtoken[r] = none
        :: lost > 0 -> lost--
        fi }
    od
}

/* The lease (L1 to L3). Who is well beats in time; trust ends only for who is paused, dead or cut off. */
proctype Lease(byte c) {
end:
    do
    :: atomic { c == 0 && trusted[c] && pauses > 0 && PRESENT(c) -> pauses--; trusted[c] = false; at_fault[c] = true }
    :: atomic { trusted[c] && away && PRESENT(c) -> trusted[c] = false }
#ifdef DRAIN_STOPS_BEAT_FIRST
    :: atomic { trusted[c] && PRESENT(c) && !BEATS(c) -> trusted[c] = false }
#endif
    :: atomic { alive[c] && !trusted[c] -> alive[c] = false } /* declared dead: the lease is longer than the trust */

    :: atomic { BEATS(c) && !trusted[c] && alive[c] && !away -> trusted[c] = true; at_fault[c] = false }
    :: atomic { BEATS(c) && !trusted[c] && !alive[c] && !away ->
#ifdef BEAT_UNFENCED
        alive[c] = true; trusted[c] = true; at_fault[c] = false; still_alone(0); still_alone(1)
#else
        new_id(c); leave[c] = true
#endif
        }
    :: atomic { life[c] == dead && !alive[c] && !away -> new_id(c); life[c] = up } /* another process in its place */
    od
}

/* What the rows hold under this id, and no run and no outcome here knows of. */
#define UNKNOWN(c, t) (status[t] == processing && owner[t] == c && !KNOWN(AT(c, t)))
#define KNOWN(r) ((RUNS(r) && held[r] == current) || (write[r] != nothing && wtoken[r] == current))
#define LOST_ITS_ROW(c, t) (phase[AT(c, t)] == running && write[AT(c, t)] == nothing && !former[AT(c, t)] && \
    !(status[t] == processing && owner[t] == c && held[AT(c, t)] == current))

/* Both may put their give back in the place of a write with an old token, which would change nothing any more. */
inline look_at(c, t, r) {
    if
    :: UNKNOWN(c, t) && SEEN_ENOUGH(r) ->
        write[r] = give_back; wtoken[r] = current; stray[r] = false
    :: else -> stray[r] = UNKNOWN(c, t)
    fi
}
inline stop_run(c, r) {
    MUST(stopped_while_it_was_ours, held[r] != current); put(r, give_back); frees(c, r)
}
inline leave_former(c, t, r) {
    if
    :: status[t] == processing && owner[t] == FORMER(c) && !KNOWN(r) ->
        write[r] = give_back; wtoken[r] = current
    :: else
    fi
}

/* Reconcile (L4, L5). A look that would find nothing is left out: it changes nothing. */
proctype Reconcile(byte c) {
end:
    do
#ifndef NO_RECONCILE
    :: atomic { PRESENT(c) && !away && !leave[c] &&
            (UNKNOWN(c, 0) || UNKNOWN(c, 1) || stray[AT(c, 0)] || stray[AT(c, 1)]) ->
        unsettled = since[AT(c, 0)] || since[AT(c, 1)];
        look_at(c, 0, AT(c, 0)); look_at(c, 1, AT(c, 1));
        since[AT(c, 0)] = (stray[AT(c, 0)] || stray[AT(c, 1)]) && IN_FLIGHT(AT(c, 0));
        since[AT(c, 1)] = (stray[AT(c, 0)] || stray[AT(c, 1)]) && IN_FLIGHT(AT(c, 1)) }
    /* a run that was here before the look and has no row was canceled or taken */
    :: atomic { PRESENT(c) && !away && !leave[c] && LOST_ITS_ROW(c, 0) -> stop_run(c, AT(c, 0)) }
    :: atomic { PRESENT(c) && !away && !leave[c] && LOST_ITS_ROW(c, 1) -> stop_run(c, AT(c, 1)) }
#endif
    :: atomic { PRESENT(c) && !away && leave[c] ->
        leave_former(c, 0, AT(c, 0)); leave_former(c, 1, AT(c, 1)); leave[c] = false }
    od
}

#define QUIET(r) (phase[r] == idle && write[r] == nothing \
    || THREADS && write[r] == nothing && (phase[r] == running || phase[r] == lingering))
#define HELD_BY(c, t) (status[t] == processing && (owner[t] == c || owner[t] == FORMER(c)))

#ifdef DRAIN_FORGETS_FORMER_SELF
#define REMEMBERS(c, t) false
#else
#define REMEMBERS(c, t) (owner[t] == FORMER(c))
#endif

inline give_back_rest(c, t, r) {
    if
    :: (status[t] == processing && (owner[t] == c || REMEMBERS(c, t))) || (phase[r] == running && held[r] == current) -> give_back_row(t)
    :: else
    fi
}

/* The drain (C3): senders before receivers, the beat last. */
proctype Drain(byte c) {
end:
    do
    :: atomic { drains > 0 && life[c] == up -> drains--; life[c] = draining }
    /* claims in flight were awaited, handlers have ended or were stopped, outcomes are written */
    :: atomic { life[c] == draining && !away && QUIET(AT(c, 0)) && QUIET(AT(c, 1)) ->
        give_back_rest(c, 0, AT(c, 0)); give_back_rest(c, 1, AT(c, 1));
        life[c] = gone; alive[c] = false; trusted[c] = false; leave[c] = false; slots[c] = 0;
        falls_silent(AT(c, 0)); falls_silent(AT(c, 1));
        MUST(held_after_drain, !HELD_BY(c, 0) && !HELD_BY(c, 1)) }
    od
}
