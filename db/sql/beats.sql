-- The last beat of each consumer that nobody has declared dead. It is only ever compared with itself, so it travels as text.
SELECT id, CAST(beat_at AS text) AS beat_at, lease_seconds
  FROM consumers
 WHERE expires_at > '-infinity'
