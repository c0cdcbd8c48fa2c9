-- Kinds of pending rows: of each queue those behind its kind in :afters, up to :n in all, in the order of the queues.
-- A skip scan: one index probe for each kind and one more for each queue, whatever they hold.
SELECT queue.name AS queue, each.kind
  FROM unnest(CAST(:queues AS text[]), CAST(:afters AS text[])) AS queue (name, after)
 CROSS JOIN LATERAL (
   WITH RECURSIVE each AS (
     (SELECT kind
        FROM tasks
       WHERE status = 'pending'
         AND queue = queue.name
         AND kind > queue.after
       ORDER BY kind
       LIMIT 1)
     UNION ALL
     SELECT (SELECT kind
               FROM tasks
              WHERE status = 'pending'
                AND queue = queue.name
                AND kind > each.kind
              ORDER BY kind
              LIMIT 1)
       FROM each
      WHERE each.kind IS NOT NULL
   )
   SELECT kind FROM each WHERE kind IS NOT NULL
 ) AS each
 LIMIT CAST(:n AS integer)
