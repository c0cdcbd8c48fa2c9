-- Cancel what has not ended; canceled_from says which side won (C1 cancel).
UPDATE tasks
   SET status = 'canceled',
       canceled_from = status,
       fencing_token = fencing_token + 1,
       finished_at = now(),
       updated_at = now()
 WHERE id = CAST(:id AS uuid)
   AND status IN ('pending', 'processing')
RETURNING id, message, status, created_at, updated_at, kind, queue, priority, payload, run_at, attempt, max_attempts,
          crashes, timeout, fencing_token, consumer_id, started_at, finished_at, canceled_from, result, error
