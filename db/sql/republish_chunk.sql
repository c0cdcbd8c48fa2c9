-- The next pending rows of one list after the cursor and older than the watermark by the slack (U4). The limit counts
-- rows looked at; a kind that no live consumer serves is marked, so that it is passed over. A row that somebody made due
-- since ever counts as due since the first instant that our side can name, which is where a walk begins.
WITH looked AS MATERIALIZED (
  SELECT id, run_at, kind
    FROM tasks
   WHERE status = 'pending'
     AND queue = :queue
     AND priority = CAST(:priority AS smallint)
     AND (run_at, id) > (
       COALESCE(NULLIF(CAST(:after_run_at AS timestamptz), TIMESTAMPTZ '0001-01-02 00:00:00+00'), '-infinity'),
       CAST(:after_id AS uuid)
     )
     AND run_at < COALESCE(CAST(:watermark AS timestamptz), now()) - CAST(:slack AS double precision) * interval '1 second'
   ORDER BY run_at, id
   LIMIT CAST(:n AS integer)
)
SELECT looked.id,
       GREATEST(looked.run_at, TIMESTAMPTZ '0001-01-02 00:00:00+00') AS run_at,
       looked.kind IN (SELECT unnest(kinds) FROM consumers WHERE expires_at > now()) AS served
  FROM looked
 ORDER BY looked.run_at, looked.id
