-- The consumers whose lease is live.
SELECT id, host, pid, queues, running, capacity, beat_at
  FROM consumers
 WHERE expires_at > now()
 ORDER BY started_at, id
