-- Remove those of these tasks that ended long ago, as far as nobody holds them locked. The conditions are looked at on
-- the locked row (R3 no second look): it may just have been retried.
WITH old AS MATERIALIZED (
  SELECT tableoid AS part, ctid AS place, status, finished_at
    FROM tasks
   WHERE id = ANY (CAST(:ids AS uuid[]))
   ORDER BY id
     FOR UPDATE SKIP LOCKED
)
DELETE FROM tasks AS task
 USING old
 WHERE task.ctid = old.place
   AND task.tableoid = old.part
   AND old.status IN ('completed', 'failed', 'canceled')
   AND old.finished_at < now() - CAST(:age AS double precision) * interval '1 second'
