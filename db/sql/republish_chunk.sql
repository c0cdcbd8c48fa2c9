-- The next pending rows of one list after the cursor and older than the watermark by the slack (U4). The limit counts
-- rows looked at; a kind that no live consumer serves is marked, so that it is passed over.
WITH looked AS MATERIALIZED (
  SELECT id, run_at, kind
    FROM tasks
   WHERE status = 'pending'
     AND queue = :queue
     AND priority = CAST(:priority AS smallint)
     AND (run_at, id) > (CAST(:after_run_at AS timestamptz), CAST(:after_id AS uuid))
     AND run_at < COALESCE(CAST(:watermark AS timestamptz), now()) - CAST(:slack AS double precision) * interval '1 second'
   ORDER BY run_at, id
   LIMIT CAST(:n AS integer)
)
SELECT looked.id,
       looked.run_at,
       looked.kind IN (SELECT unnest(kinds) FROM consumers WHERE expires_at > now()) AS served
  FROM looked
 ORDER BY looked.run_at, looked.id
