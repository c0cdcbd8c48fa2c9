-- Tries whose consumer is absent or was declared dead. Only a look: reap.sql acts by id and token (R3).
SELECT task.id, task.fencing_token
  FROM tasks AS task
 WHERE task.status = 'processing'
   AND task.fencing_token < 9223372036854775807
   AND NOT EXISTS (
     SELECT FROM consumers AS consumer WHERE consumer.id = task.consumer_id AND consumer.expires_at > '-infinity'
   )
 LIMIT CAST(:n AS integer)
