-- Where due tasks wait that this consumer serves: lanes of one queue, kind and priority, each with its first instant, up
-- to :n of them. A skip scan of each queue, one index probe for each lane that it holds and one for each kind that is not
-- ours, whatever the number of rows in them. The first row of a lane is the one that is due first.
SELECT queue.name AS queue, lane.kind, lane.priority,
       GREATEST(lane.run_at, TIMESTAMPTZ '0001-01-02 00:00:00+00') AS run_at
  FROM unnest(CAST(:queues AS text[])) AS queue (name)
 CROSS JOIN LATERAL (
   WITH RECURSIVE each AS (
     (SELECT kind, priority, run_at
        FROM tasks
       WHERE status = 'pending' AND queue = queue.name
       ORDER BY kind, priority DESC, run_at, id
       LIMIT 1)
     UNION ALL
     SELECT next.kind, next.priority, next.run_at
       FROM each
      CROSS JOIN LATERAL (
        (SELECT kind, priority, run_at
           FROM tasks
          WHERE status = 'pending'
            AND queue = queue.name
            AND kind = each.kind
            AND priority < each.priority
            AND each.kind = ANY (CAST(:kinds AS text[]))
          ORDER BY priority DESC, run_at, id
          LIMIT 1)
        UNION ALL
        (SELECT kind, priority, run_at
           FROM tasks
          WHERE status = 'pending' AND queue = queue.name AND kind > each.kind
          ORDER BY kind, priority DESC, run_at, id
          LIMIT 1)
        LIMIT 1
      ) AS next
   )
   SELECT kind, priority, run_at FROM each WHERE kind = ANY (CAST(:kinds AS text[])) AND run_at <= now()
 ) AS lane
 LIMIT CAST(:n AS integer)
