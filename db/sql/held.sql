-- What the rows say this consumer holds (L4, L5).
SELECT id, fencing_token
  FROM tasks
 WHERE status = 'processing'
   AND consumer_id = CAST(:consumer_id AS uuid)
