-- Take the tries of dead consumers back (U2 reap): one more crash, the attempt handed back, spread over :spread seconds;
-- at :poisoned crashes failed for good. That last crash is charged only to the one run that the dead consumer had
-- named before it began; what else of the kind it held had not begun. The name cannot change any more (R3 no second look):
-- name_suspect.sql asks for a consumer that was not declared dead. Code before this one named the task alone.
WITH dead AS MATERIALIZED (
  SELECT task.id,
         task.consumer_id,
         consumer.host,
         consumer.pid,
         date_part('epoch', now()) - date_part('epoch', consumer.beat_at) AS silent,
         task.crashes + 1 >= CAST(:poisoned AS integer) AND named.began IS TRUE AS poisoned,
         task.crashes + 1 >= CAST(:poisoned AS integer) AND named.began IS NOT TRUE AS spared
    FROM tasks AS task
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:tokens AS bigint[])) AS seen (id, token)
      ON task.id = seen.id AND task.fencing_token = seen.token
    LEFT JOIN consumers AS consumer ON consumer.id = task.consumer_id
   CROSS JOIN LATERAL (
     SELECT consumer.suspect_id = task.id
            AND COALESCE(consumer.suspect_token, task.fencing_token) = task.fencing_token AS began
   ) AS named
   ORDER BY task.id
     FOR NO KEY UPDATE OF task SKIP LOCKED
)
UPDATE tasks AS task
   SET status = CASE WHEN dead.poisoned THEN 'failed' ELSE 'pending' END,
       fencing_token = task.fencing_token + 1,
       crashes = CASE WHEN dead.spared THEN task.crashes ELSE LEAST(task.crashes + 1, 32767) END,
       attempt = GREATEST(task.attempt - 1, 0),
       run_at = now() + random() * CAST(:spread AS double precision) * interval '1 second',
       consumer_id = CASE WHEN dead.poisoned THEN task.consumer_id END,
       finished_at = CASE WHEN dead.poisoned THEN now() END,
       updated_at = now(),
       error = CASE
         WHEN dead.poisoned THEN json_build_object(
           'type', 'poisoned',
           'message', task.crashes + 1 || ' consumers died while they ran it',
           'at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
         )
         ELSE task.error
       END
  FROM dead
 WHERE task.id = dead.id
RETURNING task.id, dead.consumer_id, dead.host, dead.pid, dead.silent, dead.poisoned
