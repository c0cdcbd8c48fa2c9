-- Take the tries of dead consumers back (U2): one more crash, the attempt handed back, spread over :spread seconds;
-- at :poisoned crashes failed for good.
WITH dead AS MATERIALIZED (
  SELECT task.id
    FROM tasks AS task
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:tokens AS bigint[])) AS seen (id, token)
      ON task.id = seen.id AND task.fencing_token = seen.token
   ORDER BY task.id
     FOR UPDATE OF task SKIP LOCKED
)
UPDATE tasks AS task
   SET status = CASE WHEN task.crashes + 1 >= CAST(:poisoned AS integer) THEN 'failed' ELSE 'pending' END,
       fencing_token = task.fencing_token + 1,
       crashes = LEAST(task.crashes + 1, 32767),
       attempt = GREATEST(task.attempt - 1, 0),
       run_at = now() + random() * CAST(:spread AS double precision) * interval '1 second',
       consumer_id = CASE WHEN task.crashes + 1 >= CAST(:poisoned AS integer) THEN task.consumer_id END,
       finished_at = CASE WHEN task.crashes + 1 >= CAST(:poisoned AS integer) THEN now() END,
       updated_at = now(),
       error = CASE
         WHEN task.crashes + 1 >= CAST(:poisoned AS integer) THEN json_build_object(
           'type', 'poisoned',
           'message', task.crashes + 1 || ' consumers died while they ran it',
           'at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
         )
         ELSE task.error
       END
  FROM dead
 WHERE task.id = dead.id
RETURNING task.id
