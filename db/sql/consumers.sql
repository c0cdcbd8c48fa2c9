-- The consumers whose lease is live.
SELECT id, host, pid, ARRAY(SELECT name FROM unnest(queues) AS name WHERE name IS NOT NULL) AS queues, running, capacity, beat_at
  FROM consumers
 WHERE expires_at > now()
 ORDER BY started_at, id
