-- Win the turn of a step (U1 turns): due, or so far ahead that the clock must have stepped back.
UPDATE upkeep
   SET next_run_at = now() + CAST(:period AS double precision) * interval '1 second'
 WHERE step = :step
   AND (
     next_run_at <= now()
     OR next_run_at > now() + 2 * CAST(:period AS double precision) * interval '1 second'
   )
RETURNING cursor, now() AS now
