-- Which run this consumer is about to begin of a task that one more crash would poison (U2 reap). No row: declared dead, for
-- good.
UPDATE consumers
   SET suspect_id = CAST(:suspect_id AS uuid),
       suspect_token = CAST(:suspect_token AS bigint)
 WHERE id = CAST(:id AS uuid)
   AND expires_at > '-infinity'
