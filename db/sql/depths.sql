-- How many tasks wait in each of these queues, counted to :cap, and when that was.
SELECT queue.name,
       (SELECT count(*)
          FROM (SELECT FROM tasks
                 WHERE status = 'pending' AND queue = queue.name
                 LIMIT CAST(:cap AS integer)) AS waiting) AS depth,
       now() AS counted_at
  FROM unnest(CAST(:queues AS text[])) AS queue (name)
