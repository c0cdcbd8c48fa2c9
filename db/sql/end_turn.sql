-- Store where the turn stopped, and when the next is due: in :again seconds, or as take_turn said when it is null.
UPDATE upkeep
   SET cursor = CAST(:cursor AS json),
       next_run_at = COALESCE(now() + CAST(:again AS double precision) * interval '1 second', next_run_at)
 WHERE step = :step
