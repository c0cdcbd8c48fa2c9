-- Every (queue, priority) with a pending row: a skip scan, one index probe a pair, whatever the backlog.
WITH RECURSIVE list AS (
  (SELECT queue, priority FROM tasks WHERE status = 'pending' ORDER BY queue, priority DESC LIMIT 1)
  UNION ALL
  SELECT next.queue, next.priority
    FROM list
   CROSS JOIN LATERAL (
     (SELECT queue, priority
        FROM tasks
       WHERE status = 'pending' AND queue = list.queue AND priority < list.priority
       ORDER BY queue, priority DESC
       LIMIT 1)
     UNION ALL
     (SELECT queue, priority
        FROM tasks
       WHERE status = 'pending' AND queue > list.queue
       ORDER BY queue, priority DESC
       LIMIT 1)
     LIMIT 1
   ) AS next
)
SELECT queue, priority FROM list
