-- Which of these rows somebody else holds locked: a look that waits for nobody.
WITH free AS MATERIALIZED (
  SELECT id
    FROM tasks
   WHERE id = ANY (CAST(:ids AS uuid[]))
   ORDER BY id
     FOR NO KEY UPDATE SKIP LOCKED
)
SELECT id
  FROM tasks
 WHERE id = ANY (CAST(:ids AS uuid[]))
   AND NOT EXISTS (SELECT FROM free WHERE free.id = tasks.id)
