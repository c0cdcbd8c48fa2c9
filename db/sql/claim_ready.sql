-- The gate without Redis (S4): up to :n due tasks, list by list in the order given, oldest first in each; the first
-- :skip of them were refused and are passed over.
-- One index probe a list; the outer LIMIT ends the walk at the first lists that fill it.
WITH held AS MATERIALIZED (
  SELECT due.id
    FROM unnest(CAST(:queues AS text[]), CAST(:priorities AS smallint[])) AS list (queue, priority)
   CROSS JOIN LATERAL (
     SELECT id
       FROM tasks
      WHERE status = 'pending'
        AND queue = list.queue
        AND priority = list.priority
        AND run_at <= now()
        AND kind = ANY (CAST(:kinds AS text[]))
        AND fencing_token < 9223372036854775807
      ORDER BY run_at, id
      LIMIT CAST(:n AS integer) + CAST(:skip AS integer)
        FOR NO KEY UPDATE SKIP LOCKED
   ) AS due
   LIMIT CAST(:n AS integer)
  OFFSET CAST(:skip AS integer)
)
UPDATE tasks AS task
   SET status = 'processing',
       consumer_id = CAST(:consumer_id AS uuid),
       fencing_token = task.fencing_token + 1,
       attempt = LEAST(task.attempt + 1, 32767),
       started_at = now(),
       updated_at = now()
  FROM held
 WHERE task.id = held.id
RETURNING task.id, task.fencing_token, task.kind, task.queue, task.priority, task.message, CAST(task.payload AS text) AS payload,
          task.attempt, task.max_attempts, task.crashes, task.timeout
