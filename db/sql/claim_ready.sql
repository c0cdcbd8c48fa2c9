-- The gate by the rows themselves (S4 no Redis): up to :n due tasks, lane by lane in the order given, oldest first in each, from
-- the place where the last claim of that lane ended; the first :skip of them were refused and are passed over.
-- One index probe a lane; the outer LIMIT ends the walk at the first lanes that fill it.
-- :hints are what a list brought last, :listed whether it is this lane's list. Then only what waits longer than they did,
-- by more than :slack seconds, is taken: the rest is on its way in that list. Those that ended before do not count: ids
-- may lie in a list for hours after their tasks were canceled. When none is left nothing is known of the list, and
-- whatever is due is taken.
-- A row that somebody made due since ever counts as due since the first instant that our side can name.
-- The walk passes over what one more crash would poison (2 is SUSPECTED_AFTER_CRASHES). Of those lanes' suspects one may
-- begin, the :suspect th, at the head of its lane wherever the last claim of it ended; none when :suspect is 0 (U2 reap). It is
-- asked for in the words of its own index, so that no plan looks for it in another.
WITH young AS MATERIALIZED (
  SELECT LEAST(now(), max(run_at) - CAST(:slack AS double precision) * interval '1 second') AS since
    FROM tasks
   WHERE id = ANY (CAST(:hints AS uuid[]))
     AND (finished_at IS NULL OR finished_at > now() - CAST(:slack AS double precision) * interval '1 second')
),
suspect AS MATERIALIZED (
  SELECT waiting.id, lane.queue, lane.kind, lane.priority
    FROM unnest(CAST(:queues AS text[]), CAST(:kinds AS text[]), CAST(:priorities AS smallint[])) AS lane (queue, kind, priority)
   CROSS JOIN LATERAL (
     SELECT id
       FROM tasks
      WHERE CASE WHEN status = 'pending' THEN crashes >= 2 END
        AND queue = lane.queue
        AND kind = lane.kind
        AND priority = lane.priority
        AND run_at <= now()
        AND fencing_token < 9223372036854775807
      ORDER BY run_at, id
      LIMIT CAST(:suspect AS integer)
        FOR NO KEY UPDATE SKIP LOCKED
   ) AS waiting
   LIMIT LEAST(CAST(:suspect AS integer), 1)
  OFFSET GREATEST(CAST(:suspect AS integer) - 1, 0)
),
held AS MATERIALIZED (
  SELECT due.id
    FROM unnest(
           CAST(:queues AS text[]),
           CAST(:kinds AS text[]),
           CAST(:priorities AS smallint[]),
           CAST(:run_ats AS timestamptz[]),
           CAST(:ids AS uuid[]),
           CAST(:listed AS boolean[])
         ) AS lane (queue, kind, priority, run_at, id, listed)
   CROSS JOIN young
   CROSS JOIN LATERAL (
     SELECT id FROM suspect WHERE (queue, kind, priority) = (lane.queue, lane.kind, lane.priority)
     UNION ALL
     SELECT id FROM (
       SELECT id
         FROM tasks
        WHERE status = 'pending'
          AND crashes < 2
          AND queue = lane.queue
          AND kind = lane.kind
          AND priority = lane.priority
          AND (run_at, id) > (COALESCE(NULLIF(lane.run_at, TIMESTAMPTZ '0001-01-02 00:00:00+00'), '-infinity'), lane.id)
          AND run_at <= CASE WHEN lane.listed THEN young.since ELSE now() END
          AND fencing_token < 9223372036854775807
        ORDER BY run_at, id
        LIMIT CAST(:n AS integer) + CAST(:skip AS integer)
          FOR NO KEY UPDATE SKIP LOCKED
     ) AS innocent
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
          task.attempt, task.max_attempts, task.crashes, task.timeout,
          date_part('epoch', now()) - date_part('epoch', task.run_at) AS waited,
          GREATEST(task.run_at, TIMESTAMPTZ '0001-01-02 00:00:00+00') AS run_at
