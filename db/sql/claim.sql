-- The only gate (R1 gate): pending, due, of a kind we serve. What does not come back is not ours to run.
-- Status is looked at on the locked row, outside of the index scan: with the condition inside, stale statistics
-- make the planner read a whole partial index instead of probing the primary key.
-- NO KEY: a transaction of the user's that refers to the row by a foreign key is not in the way, and the update that
-- follows needs no more.
-- A locked row stays where it is, so the update goes there without probing again. Its place is one of its table, or
-- partition.
-- No row makes the statement fail for its neighbours (U1 turns): a number at its end stays there, a token there is passed over.
-- A task that one more crash would poison (2 is SUSPECTED_AFTER_CRASHES) may begin when :suspects says so, and of those
-- here only the first: the others stay as they are until it is out of the way (U2 reap). Which one is first is asked only when
-- one is met.
WITH held AS MATERIALIZED (
  SELECT tableoid AS part, ctid AS place, id, status, run_at, kind, fencing_token, crashes, priority
    FROM tasks
   WHERE id = ANY (CAST(:ids AS uuid[]))
   ORDER BY id
     FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE tasks AS task
   SET status = 'processing',
       consumer_id = CAST(:consumer_id AS uuid),
       fencing_token = task.fencing_token + 1,
       attempt = LEAST(task.attempt + 1, 32767),
       started_at = now(),
       updated_at = now()
  FROM held
 WHERE task.ctid = held.place
   AND task.tableoid = held.part
   AND held.status = 'pending'
   AND held.run_at <= now()
   AND held.kind = ANY (CAST(:kinds AS text[]))
   AND held.fencing_token < 9223372036854775807
   AND (held.crashes < 2 OR CAST(:suspects AS boolean) AND held.id = (
     SELECT id
       FROM held AS suspect
      WHERE status = 'pending'
        AND run_at <= now()
        AND kind = ANY (CAST(:kinds AS text[]))
        AND fencing_token < 9223372036854775807
        AND crashes >= 2
      ORDER BY priority DESC, run_at, id
      LIMIT 1
   ))
RETURNING task.id, task.fencing_token, task.kind, task.queue, task.priority, task.message, CAST(task.payload AS text) AS payload,
          task.attempt, task.max_attempts, task.crashes, task.timeout,
          date_part('epoch', now()) - date_part('epoch', task.run_at) AS waited
