/* Two tasks, two consumers, PostgreSQL as the truth, Redis as a hint: what can happen, and that nothing bad does.

   A run gets a setting (-DKILLS=1 ...) and at most one ablation (-DFINISH_BY_ID ...); README.md has both lists, and says
   which statement or function each action stands for. */

#ifndef CAPACITY
#define CAPACITY 1 /* WORKER_QUEUE_MAXSIZE */
#endif
#ifndef MAX_ATTEMPTS
#define MAX_ATTEMPTS 1
#endif
#ifndef POISONED
#define POISONED 3 /* crashes that are enough; with 1 every task is a suspect */
#endif

/* How often each thing may happen in one history, and what handlers do. */
#ifndef LOST
#define LOST 0 /* answers of PostgreSQL that do not arrive */
#endif
#ifndef PAUSES
#define PAUSES 0 /* a consumer's beats do not come through for longer than its trust */
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef OUTAGES
#define OUTAGES 0 /* of PostgreSQL */
#endif
#ifndef DRAINS
#define DRAINS 0
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef RETRIES
#define RETRIES 0 /* by a person */
#endif
#ifndef FLUSHES
#define FLUSHES 0 /* of Redis */
#endif
#ifndef REDIS
#define REDIS 0 /* without: any id may reach any consumer at any time, which covers lost, doubled and forged ids */
#endif
#ifndef DOUBLES
#define DOUBLES 0 /* how often an id may be listed beside itself */
#endif
#ifndef SESSION
#define SESSION 0 /* task 0 may use ctx.session() */
#endif
#ifndef FAILS
#define FAILS 0 /* handlers may fail */
#endif
#ifndef THREADS
#define THREADS 0 /* handlers may outlive their timeout and a drain */
#endif
#ifndef POISON
#define POISON 0 /* the handler of task 0 kills its process */
#endif

byte lost = LOST, pauses = PAUSES, kills = KILLS, outages = OUTAGES, drains = DRAINS, cancels = CANCELS, retries = RETRIES,
    flushes = FLUSHES;
bool away = false;  /* PostgreSQL does not answer */
bool judge = true;  /* some consumer's beats were good for a whole lease (U2) */
hidden byte unsettled, earlier;

#define DIES(t) (POISON && t == 0)

#if REDIS
byte listed[2]; /* entries of the ready list */
#define LISTED(t) (listed[t] > 0)
#else
#define LISTED(t) true
#endif
inline publish(t) { /* whoever commits a row that is due pushes its id */
#if REDIS
    listed[t] = (listed[t] <= DOUBLES -> listed[t] + 1 : listed[t])
#else
    skip
#endif
}
inline unlist(t) {
#if REDIS
    listed[t]--
#else
    skip
#endif
}

#include "rows.pml"
#include "consumer.pml"
#include "world.pml"

init {
    atomic {
        run Walk(0, 0, 0); run Walk(0, 1, 1); run Walk(1, 0, 2); run Walk(1, 1, 3);
        run Lease(0); run Lease(1); run Reconcile(0); run Reconcile(1); run Reap();
#if DRAINS
        run Drain(0);
#endif
#if CANCELS
        run Client();
#endif
#if KILLS || OUTAGES
        run Nemesis();
#endif
#if REDIS
        run Lists(); run RedisFaults();
#endif
#if LIVENESS
        run Clock();
#endif
        skip
    }
}

#if LIVENESS
/* Time goes on when nothing else does: a history in which nobody can act any more is judged, too. */
proctype Clock() {
    do
    :: lost <= LOST /* always */
    od
}
#endif

ltl every_task_ends { <> [] (ENDED(0) && ENDED(1)) }
