-- One task.
SELECT    id, message, status, created_at, updated_at, kind, queue, priority, payload, run_at, attempt, max_attempts,
          crashes, timeout, fencing_token, consumer_id, started_at, finished_at, canceled_from, result, error
  FROM tasks
 WHERE id = CAST(:id AS uuid)
