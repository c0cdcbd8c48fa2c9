-- Record the failures of the tries whose token still matches (R2 fence): pending again after :delays seconds, or failed
-- where the delay is null.
UPDATE tasks AS task
   SET status = CASE WHEN lost.delay IS NULL THEN 'failed' ELSE 'pending' END,
       fencing_token = task.fencing_token + 1,
       run_at = CASE WHEN lost.delay IS NULL THEN task.run_at ELSE now() + lost.delay * interval '1 second' END,
       consumer_id = CASE WHEN lost.delay IS NULL THEN task.consumer_id END,
       finished_at = CASE WHEN lost.delay IS NULL THEN now() END,
       updated_at = now(),
       error = json_build_object(
         'type', lost.type,
         'message', lost.message,
         'at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       )
  FROM unnest(
         CAST(:ids AS uuid[]),
         CAST(:tokens AS bigint[]),
         CAST(:types AS text[]),
         CAST(:messages AS text[]),
         CAST(:delays AS double precision[])
       ) AS lost (id, token, type, message, delay)
 WHERE task.id = lost.id
   AND task.fencing_token = lost.token
RETURNING task.id, task.queue, task.kind, task.priority, task.status = 'pending' AND task.run_at <= now() AS due,
          CASE WHEN task.status = 'pending' THEN EXTRACT(EPOCH FROM task.run_at - now()) END AS due_in
