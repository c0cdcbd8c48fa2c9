-- The next tasks that ended long ago, after a place in the index, with the bytes that each takes on disk: a TOASTed value
-- tells its size without being read. Only a look: prune.sql deletes by id (R3 no second look). Instants travel as text: PostgreSQL's go
-- further than ours. Rows that ended at one instant stand in the order of their places, so that none has to be sorted; of
-- several partitions some of those may be passed over, until the next lap.
SELECT id,
       CAST(finished_at AS text) AS finished_at,
       CAST(tableoid AS bigint) AS part,
       CAST(ctid AS text) AS place,
       COALESCE(pg_column_size(message), 0)
         + COALESCE(pg_column_size(payload), 0)
         + COALESCE(pg_column_size(result), 0)
         + COALESCE(pg_column_size(error), 0) AS bytes
  FROM tasks
 WHERE status IN ('completed', 'failed', 'canceled')
   AND finished_at < now() - CAST(:age AS double precision) * interval '1 second'
   AND finished_at >= CAST(CAST(:after_finished_at AS text) AS timestamptz)
   AND NOT (
     finished_at = CAST(CAST(:after_finished_at AS text) AS timestamptz)
     AND (tableoid, ctid) <= (CAST(CAST(:after_part AS bigint) AS oid), CAST(CAST(:after_place AS text) AS tid))
   )
 ORDER BY tasks.finished_at
 LIMIT CAST(:n AS integer)
