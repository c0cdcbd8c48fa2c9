-- Declare consumers dead, for good, that have not beaten since they were seen (U2 reap): their beats are refused from now on
-- (L1 rows), and what they named stays as it is. A row that somebody holds locked, such as its own beat, is left alone.
WITH silent AS MATERIALIZED (
  SELECT consumer.id
    FROM consumers AS consumer
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:beats AS text[])) AS seen (id, beat_at)
      ON consumer.id = seen.id AND CAST(consumer.beat_at AS text) = seen.beat_at
   ORDER BY consumer.id
     FOR NO KEY UPDATE OF consumer SKIP LOCKED
)
UPDATE consumers AS consumer
   SET expires_at = '-infinity'
  FROM silent
 WHERE consumer.id = silent.id
