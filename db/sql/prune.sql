-- Remove tasks that ended long ago. The conditions stand again on the row that is deleted (R3): one may just have
-- been retried.
WITH old AS MATERIALIZED (
  SELECT id
    FROM tasks
   WHERE status IN ('completed', 'failed', 'canceled')
     AND finished_at < now() - CAST(:age AS double precision) * interval '1 second'
   ORDER BY finished_at
   LIMIT CAST(:n AS integer)
     FOR UPDATE SKIP LOCKED
)
DELETE FROM tasks AS task
 USING old
 WHERE task.id = old.id
   AND task.status IN ('completed', 'failed', 'canceled')
   AND task.finished_at < now() - CAST(:age AS double precision) * interval '1 second'
