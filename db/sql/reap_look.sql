-- Tries whose consumer is absent or silent past its own lease. Only a look: reap.sql acts by id and token (R3).
SELECT task.id, task.fencing_token
  FROM tasks AS task
 WHERE task.status = 'processing'
   AND NOT EXISTS (
     SELECT FROM consumers AS consumer WHERE consumer.id = task.consumer_id AND consumer.expires_at > now()
   )
 ORDER BY task.id
 LIMIT CAST(:n AS integer)
