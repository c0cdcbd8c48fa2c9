-- Store where the turn stopped, and have the next one due in :again seconds, unless it is due sooner: a row committed
-- after this turn had looked may have brought it forward.
UPDATE upkeep
   SET cursor = CAST(:cursor AS json),
       next_run_at = LEAST(next_run_at, now() + CAST(:again AS double precision) * interval '1 second')
 WHERE step = :step
