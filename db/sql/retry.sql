-- A person runs an ended task again, with a fresh budget (C1 cancel).
UPDATE tasks
   SET status = 'pending',
       fencing_token = fencing_token + 1,
       run_at = now(),
       attempt = 0,
       crashes = 0,
       consumer_id = NULL,
       started_at = NULL,
       finished_at = NULL,
       canceled_from = NULL,
       result = NULL,
       error = NULL,
       updated_at = now()
 WHERE id = CAST(:id AS uuid)
   AND status IN ('failed', 'canceled')
RETURNING id, message, status, created_at, updated_at, kind, queue, priority, payload, run_at, attempt, max_attempts,
          crashes, timeout, fencing_token, consumer_id, started_at, finished_at, canceled_from, result, error
