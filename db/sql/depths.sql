-- How many tasks wait in each of these queues, counted to :cap.
SELECT queue.name,
       (SELECT count(*)
          FROM (SELECT FROM tasks
                 WHERE status = 'pending' AND queue = queue.name
                 LIMIT CAST(:cap AS integer)) AS waiting) AS depth
  FROM unnest(CAST(:queues AS text[])) AS queue (name)
