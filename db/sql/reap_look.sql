-- Tries whose consumer is absent or was declared dead. Only a look: reap.sql acts by id and token (R3 no second look).
-- It walks the gaps between the ids of those that are not dead: each try that ended leaves an entry behind, which an old
-- snapshot keeps there, and those of the living are jumped over. The ids of both ends are nobody's.
WITH living AS MATERIALIZED (
  SELECT id
    FROM consumers
   WHERE expires_at > '-infinity'
  UNION ALL
  VALUES (CAST('00000000-0000-0000-0000-000000000000' AS uuid)),
         (CAST('ffffffff-ffff-ffff-ffff-ffffffffffff' AS uuid))
)
SELECT task.id, task.fencing_token
  FROM (SELECT id AS above, lead(id) OVER (ORDER BY id) AS below FROM living) AS gap
 CROSS JOIN LATERAL (
   SELECT id, fencing_token
     FROM tasks
    WHERE status = 'processing'
      AND consumer_id > gap.above
      AND consumer_id < gap.below
      AND fencing_token < 9223372036854775807
    LIMIT CAST(:n AS integer)
 ) AS task
 LIMIT CAST(:n AS integer)
