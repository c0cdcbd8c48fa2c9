-- Forget consumers that were declared dead and have been silent for an hour, once their tasks were reaped: reap has yet
-- to read which of them was named (U2 reap). One whose row somebody holds locked waits alone.
WITH dead AS MATERIALIZED (
  SELECT id
    FROM consumers
   WHERE expires_at = '-infinity'
     AND beat_at < now() - interval '1 hour'
     AND NOT EXISTS (
       SELECT FROM tasks WHERE status = 'processing' AND consumer_id = consumers.id
     )
   ORDER BY id
     FOR UPDATE SKIP LOCKED
)
DELETE FROM consumers AS consumer
 USING dead
 WHERE consumer.id = dead.id
   AND consumer.expires_at = '-infinity'
