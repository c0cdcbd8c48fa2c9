-- Seconds until the next delayed row is due; no row when none is waiting.
SELECT EXTRACT(EPOCH FROM run_at - now()) AS due_in
  FROM tasks
 WHERE status = 'pending'
   AND run_at > created_at
   AND run_at > now()
   AND run_at < 'infinity'
 ORDER BY run_at
 LIMIT 1
