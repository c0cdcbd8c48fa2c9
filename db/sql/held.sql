-- What the rows say this consumer holds (L4 reconcile, L5 new id).
SELECT id, fencing_token
  FROM tasks
 WHERE status = 'processing'
   AND consumer_id = CAST(:consumer_id AS uuid)
