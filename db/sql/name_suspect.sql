-- Which task this consumer is about to run that one more crash would poison (U2). No row: declared dead, for good.
UPDATE consumers
   SET suspect_id = CAST(:suspect_id AS uuid)
 WHERE id = CAST(:id AS uuid)
   AND expires_at > now()
