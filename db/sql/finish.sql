-- Complete the tries whose token still matches (R2 fence). By primary key and token alone: with `status = 'processing'`
-- the planner takes the small partial index, which is full of dead entries, and this becomes many times slower.
UPDATE tasks AS task
   SET status = 'completed',
       fencing_token = task.fencing_token + 1,
       result = CAST(done.result AS json),
       error = NULL,
       finished_at = statement_timestamp(),
       updated_at = statement_timestamp()
  FROM unnest(
         CAST(:ids AS uuid[]),
         CAST(:tokens AS bigint[]),
         CAST(:results AS text[])
       ) AS done (id, token, result)
 WHERE task.id = done.id
   AND task.fencing_token = done.token
