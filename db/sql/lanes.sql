-- Where due tasks wait that this consumer serves: lanes of one queue, kind and priority, each with its first instant, up
-- to :n of them, of each queue from its kind in :sinces on. The first row of a lane is the one that is due first.
-- A skip scan of each queue: one index probe for each lane that it holds, and at most one more for each kind of ours. What
-- lies between two of our kinds is jumped over at once: clients may have named any number of others.
SELECT queue.name AS queue, lane.kind, lane.priority,
       GREATEST(lane.run_at, TIMESTAMPTZ '0001-01-02 00:00:00+00') AS run_at
  FROM unnest(CAST(:queues AS text[]), CAST(:sinces AS text[])) AS queue (name, since)
 CROSS JOIN LATERAL (
   WITH RECURSIVE each AS (
     (SELECT kind, priority, run_at
        FROM tasks
       WHERE status = 'pending'
         AND queue = queue.name
         AND kind >= (SELECT min(ours) FROM unnest(CAST(:kinds AS text[])) AS ours WHERE ours >= queue.since)
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
          WHERE status = 'pending'
            AND queue = queue.name
            AND kind >= (SELECT min(ours) FROM unnest(CAST(:kinds AS text[])) AS ours WHERE ours > each.kind)
          ORDER BY kind, priority DESC, run_at, id
          LIMIT 1)
        LIMIT 1
      ) AS next
   )
   SELECT kind, priority, run_at FROM each WHERE kind = ANY (CAST(:kinds AS text[])) AND run_at <= now()
 ) AS lane
 LIMIT CAST(:n AS integer)
