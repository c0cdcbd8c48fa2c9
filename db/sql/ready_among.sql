-- Which of these ids are pending and due, and on which list they belong.
SELECT id, GREATEST(run_at, TIMESTAMPTZ '0001-01-02 00:00:00+00') AS run_at
  FROM (SELECT id, run_at, status, queue, priority FROM tasks WHERE id = ANY (CAST(:ids AS uuid[])) OFFSET 0) AS listed
 WHERE status = 'pending'
   AND run_at <= now()
   AND queue = :queue
   AND priority = CAST(:priority AS smallint)
