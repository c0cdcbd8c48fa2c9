-- The only gate (R1): pending, due, of a kind we serve. What does not come back is not ours to run.
-- Status is looked at on the locked row, outside of the index scan: with the condition inside, stale statistics
-- make the planner read a whole partial index instead of probing the primary key.
WITH held AS MATERIALIZED (
  SELECT id, status, run_at, kind
    FROM tasks
   WHERE id = ANY (CAST(:ids AS uuid[]))
   ORDER BY id
     FOR UPDATE SKIP LOCKED
)
UPDATE tasks AS task
   SET status = 'processing',
       consumer_id = CAST(:consumer_id AS uuid),
       fencing_token = task.fencing_token + 1,
       attempt = task.attempt + 1,
       started_at = now(),
       updated_at = now()
  FROM held
 WHERE task.id = held.id
   AND held.status = 'pending'
   AND held.run_at <= now()
   AND held.kind = ANY (CAST(:kinds AS text[]))
RETURNING task.id, task.fencing_token, task.kind, task.queue, task.priority, task.message, task.payload,
          task.attempt, task.max_attempts, task.crashes, task.timeout
