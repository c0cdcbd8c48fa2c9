-- Hand tries back uncharged, where the token still matches (R2 fence): pending at once, or after :delays seconds.
UPDATE tasks AS task
   SET status = 'pending',
       fencing_token = task.fencing_token + 1,
       attempt = GREATEST(task.attempt - 1, 0),
       run_at = CASE WHEN back.delay > 0 THEN now() + back.delay * interval '1 second' ELSE task.run_at END,
       consumer_id = NULL,
       updated_at = now()
  FROM unnest(
         CAST(:ids AS uuid[]),
         CAST(:tokens AS bigint[]),
         CAST(:delays AS double precision[])
       ) AS back (id, token, delay)
 WHERE task.id = back.id
   AND task.fencing_token = back.token
RETURNING task.id, task.queue, task.kind, task.priority, task.run_at <= now() AS due,
          EXTRACT(EPOCH FROM GREATEST(task.run_at, now()) - now()) AS due_in
