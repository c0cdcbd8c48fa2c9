-- Make a step due in :within seconds, unless it is due sooner.
UPDATE upkeep
   SET next_run_at = now() + CAST(:within AS double precision) * interval '1 second'
 WHERE step = :step
   AND next_run_at > now() + CAST(:within AS double precision) * interval '1 second'
