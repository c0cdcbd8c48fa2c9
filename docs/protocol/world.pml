/* What is not one consumer: upkeep, the lists in Redis, clients, and everything that breaks. */

#define CAN_JUDGE (judge && !away && (life[0] == up || life[1] == up))
#define SETTLED(r) (write[r] == nothing && !former[r])
#define CALM(c) (!PRESENT(c) || (trusted[c] && !leave[c] && SETTLED(AT(c, 0)) && SETTLED(AT(c, 1))))

inline act(t) {
    if
#ifdef STALE_REAP
    :: true -> reap_row(t)
#else
    :: look[t] == current -> reap_row(t)
    :: else
#endif
    fi;
    look[t] = none
}

/* A turn of upkeep, by whichever consumer may judge (U1, U2): a look, then an act by id and token (R3). */
proctype Reap() {
end:
    do
#ifndef NO_REAPER
    :: atomic { CAN_JUDGE && status[0] == processing && !OWNER_LIVES(0) && look[0] == none -> look[0] = current }
    :: atomic { CAN_JUDGE && status[1] == processing && !OWNER_LIVES(1) && look[1] == none -> look[1] = current }
    :: atomic { look[0] != none && (!CAN_JUDGE || LOCKED(0)) -> look[0] = none }
    :: atomic { look[1] != none && (!CAN_JUDGE || LOCKED(1)) -> look[1] = none }
    :: atomic { look[0] != none && CAN_JUDGE && !LOCKED(0) -> act(0) }
    :: atomic { look[1] != none && CAN_JUDGE && !LOCKED(1) -> act(1) }
#endif
    /* a lease has passed since the outage: every consumer that runs has beaten, written and given back */
    :: atomic { !judge && !away && CALM(0) && CALM(1) -> judge = true }
    od
}

#if REDIS
#ifdef EDGE_TRIGGERED
bool published[T];
#define MISSED(t) (status[t] == pending && listed[t] == 0 && !published[t])
#define MARK(t) published[t] = true
#else
#define MISSED(t) (status[t] == pending && listed[t] == 0)
#define MARK(t) skip
#endif

/* A scan asks what is pending, never what was once pushed (U4). Here it lists what it finds; the consumer claims it. */
proctype Lists() {
end:
    do
    :: atomic { MISSED(0) -> publish(0); MARK(0) }
    :: atomic { MISSED(1) -> publish(1); MARK(1) }
    :: atomic { DOUBLES && listed[0] == 1 -> publish(0) }
    od
}

/* FLUSHALL, a server that comes back empty, a pop whose answer is lost, a consumer that dies with ids in its memory. */
proctype RedisFaults() {
end:
    do
    :: atomic { flushes > 0 && (listed[0] > 0 || listed[1] > 0) -> flushes--; listed[0] = 0; listed[1] = 0 }
    :: atomic { flushes > 0 && listed[0] > 0 -> flushes--; listed[0]-- }
    :: atomic { flushes > 0 && listed[1] > 0 -> flushes--; listed[1]-- }
    od
}
#endif

/* A client cancels task 0, and runs it again (C1). */
proctype Client() {
end:
    do
#ifdef CANCEL_UNGUARDED
    :: atomic { cancels > 0 && !away && !LOCKED(0) -> cancels--; cancel_row(0) }
#else
    :: atomic { cancels > 0 && !away && !LOCKED(0) && !ENDED(0) -> cancels--; cancel_row(0) }
#endif
    :: atomic { retries > 0 && !away && (status[0] == failed || status[0] == canceled) -> retries--; retry_row(0) }
    od
}

/* What PostgreSQL had in flight when it stopped: nobody learns what became of it; open transactions are rolled back. */
inline cut(c, r) {
    if
    :: IN_FLIGHT(r) -> frees(c, r)
    :: phase[r] == orphan -> leaves(r)
    :: else
    fi
}
inline cut_transaction(c, r) {
    if
    :: (phase[r] == committing || phase[r] == committed) && write[r] == nothing -> put(r, give_back); frees(c, r)
    :: else
    fi;
    tx[r] = false
}

proctype Nemesis() {
end:
    do
    :: atomic { kills > 0 && PRESENT(1) -> kills--; dies(1) } /* consumer 0 is paused, or drained */
    :: atomic { outages > 0 && !away -> outages--; away = true;
#ifndef REAP_AFTER_OUTAGE
        judge = false;
#endif
        cut(0, 0); cut(0, 1); cut(1, 2); cut(1, 3);
        cut_transaction(0, 0); cut_transaction(1, 2) }
    :: atomic { away -> away = false }
    od
}
