/* The rows of two tasks, the tokens that name their tries, and what must never be seen of them.

   A fencing token is only ever compared with the row's own. So it is modelled by the answer to that question: whoever
   holds one holds the `current` one or an `old` one, and a step makes every one that is held old (R2). That bounds
   nothing: there is no highest token. `revoked` is an old one that a cancel overtook: its holder may run on until a
   message or a look at the rows tells it. */

#define T 2 /* tasks */
#define C 2 /* consumers */
#define AT(c, t) (2 * (c) + (t)) /* where consumer c keeps what it knows of task t */
#define FORMER(c) (2 + (c))
#define NOBODY 4
#define NO_TASK 2

mtype = { pending, processing, completed, failed, canceled }; /* tasks.status */
mtype = { none, current, revoked, old };                      /* a token that is held */

/* tasks */
mtype status[T] = pending;
byte owner[T] = NOBODY; /* consumer_id: c, the current id of consumer c, or FORMER(c), any id that it had before */
byte attempt[T], crashes[T];
bool canceled_pending[T]; /* canceled_from = 'pending' */
bool tx[C * T];           /* a handler's transaction has written its completion, holds the row's lock, and commits */

/* consumers */
bool alive[C] = true; /* not declared dead: expires_at > '-infinity' */
byte suspect[C] = NO_TASK, former_suspect[C] = NO_TASK; /* suspect_id, under the current id and under the former one */

/* who holds a token of whom: a run, an outcome that waits to be written, reap between its look and its act */
mtype held[C * T] = none, wtoken[C * T] = none, look[T] = none;
bool stray[C * T]; /* reconcile saw this row once, under its current token */

/* ghosts: nobody reads them but the properties */
byte completions[T], effects[T], failures[T];
bool at_fault[C], was_at_fault[C]; /* killed or paused, under the current id and under the former one */

#define ENDED(t) (status[t] == completed || status[t] == failed || status[t] == canceled)
#define LOCKED(t) (tx[AT(0, t)] || tx[AT(1, t)])
#define OWNER_LIVES(t) (owner[t] < C && alive[owner[t]])

/* The properties. A name is set and asserted in one step, so that a counterexample ends with it. */
hidden byte completed_twice, end_overwritten, earlier_try_wrote, effects_twice, completion_without_effects,
    started_after_cancel, started_without_claim, two_at_once, over_capacity, ran_beside_its_completion,
    stopped_while_it_was_ours, charged_without_a_death, neighbour_poisoned, held_after_drain, too_many_tries;
#define MUST(broken, condition) broken = !(condition); assert(!broken)

inline overtaken(token, becomes) {
    token = (token == current -> becomes : token)
}

/* fencing_token + 1 (R2) */
inline token_step(t, becomes) {
    overtaken(held[AT(0, t)], becomes); overtaken(held[AT(1, t)], becomes);
    overtaken(wtoken[AT(0, t)], old); overtaken(wtoken[AT(1, t)], old);
    overtaken(look[t], old);
    stray[AT(0, t)] = false; stray[AT(1, t)] = false
}

/* Ended. The row keeps its consumer_id; nothing reads it any more, so the model forgets it. */
inline ends(t, how, becomes) {
    status[t] = how; owner[t] = NOBODY; token_step(t, becomes)
}

inline becomes_pending(t) {
    status[t] = pending; owner[t] = NOBODY; token_step(t, old); publish(t)
}

/* claim.sql, claim_ready.sql: only what is pending (R1) */
inline claim_row(t, me) {
    status[t] = processing; owner[t] = me; token_step(t, old);
#ifndef ATTEMPT_NOT_COUNTED
    attempt[t]++
#endif
}

/* finish.sql */
#if defined(FINISH_BY_ID)
#define FINISH_FITS(t, r) true
#elif defined(FINISH_BY_STATUS)
#define FINISH_FITS(t, r) (status[t] == processing)
#else
#define FINISH_FITS(t, r) (wtoken[r] == current)
#endif
inline finish_row(t) {
    completions[t]++;
    MUST(completed_twice, completions[t] == 1);
    MUST(end_overwritten, !ENDED(t));
#ifdef FINISH_WITHOUT_STEP
    status[t] = completed
#else
    ends(t, completed, old)
#endif
}

/* fail.sql */
inline fail_row(t) {
    MUST(end_overwritten, !ENDED(t));
    failures[t]++;
    MUST(too_many_tries, failures[t] <= MAX_ATTEMPTS);
    if
    :: attempt[t] < MAX_ATTEMPTS -> becomes_pending(t)
    :: else -> ends(t, failed, old)
    fi
}

/* give_back.sql: uncharged */
inline give_back_row(t) {
    MUST(end_overwritten, !ENDED(t));
    attempt[t] = (attempt[t] > 0 -> attempt[t] - 1 : 0); becomes_pending(t)
}

/* cancel.sql (C1), and its message (S3) */
inline cancel_row(t) {
    MUST(end_overwritten, !ENDED(t));
    canceled_pending[t] = (status[t] == pending);
    if
    :: status[t] == processing -> msg[AT(0, t)] = true; msg[AT(1, t)] = true; ends(t, canceled, revoked)
    :: else -> ends(t, canceled, old)
    fi
}

/* retry.sql (C1) */
inline retry_row(t) {
    attempt[t] = 0; crashes[t] = 0; failures[t] = 0; canceled_pending[t] = false; becomes_pending(t)
}

#define SUSPECTED(t) (crashes[t] + 1 >= POISONED)
#ifdef UNNAMED_SUSPECT_CHARGED
#define CHARGED(t) true
#else
#define CHARGED(t) (!SUSPECTED(t) || (owner[t] < C -> suspect[owner[t]] : former_suspect[owner[t] - C]) == t)
#endif

/* reap.sql (U2): a charge needs a death, and the last one a name */
inline reap_row(t) {
    MUST(end_overwritten, status[t] == processing);
    MUST(earlier_try_wrote, look[t] == current);
    MUST(charged_without_a_death, (owner[t] < C -> at_fault[owner[t]] : was_at_fault[owner[t] - C]));
    attempt[t] = (attempt[t] > 0 -> attempt[t] - 1 : 0);
    if
    :: CHARGED(t) && SUSPECTED(t) -> MUST(neighbour_poisoned, !POISON || t == 0); crashes[t]++; ends(t, failed, old)
#ifndef CRASH_NOT_COUNTED
    :: CHARGED(t) && !SUSPECTED(t) -> crashes[t]++; becomes_pending(t)
#else
    :: CHARGED(t) && !SUSPECTED(t) -> becomes_pending(t)
#endif
    :: !CHARGED(t) -> becomes_pending(t)
    fi
}
