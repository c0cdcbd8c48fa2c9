-- Delayed rows whose time has come, after the cursor (U3 promote).
SELECT id, queue, kind, priority, run_at
  FROM tasks
 WHERE status = 'pending'
   AND run_at > created_at
   AND (run_at, id) > (CAST(:after_run_at AS timestamptz), CAST(:after_id AS uuid))
   AND run_at <= now()
 ORDER BY run_at, id
 LIMIT CAST(:n AS integer)
