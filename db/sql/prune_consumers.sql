-- Forget consumers that have been dead for an hour, once their tasks were reaped: if nobody was there to do that, reap
-- has yet to read which of them was named (U2).
DELETE FROM consumers AS consumer
 WHERE expires_at < now() - interval '1 hour'
   AND NOT EXISTS (
     SELECT FROM tasks WHERE status = 'processing' AND consumer_id = consumer.id
   )
