-- Queues that hold a pending row, in order, up to :n of them behind :after: one index probe each, whatever they hold.
WITH RECURSIVE each AS (
  (SELECT queue FROM tasks WHERE status = 'pending' AND queue > :after ORDER BY queue LIMIT 1)
  UNION ALL
  SELECT (SELECT queue FROM tasks WHERE status = 'pending' AND queue > each.queue ORDER BY queue LIMIT 1)
    FROM each
   WHERE each.queue IS NOT NULL
)
SELECT queue FROM each WHERE queue IS NOT NULL LIMIT CAST(:n AS integer)
