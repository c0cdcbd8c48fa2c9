-- The consumers whose lease is live. Of each up to :most kinds, and fewer where all of them would be more than :in_all.
SELECT id, host, pid,
       ARRAY(SELECT name FROM unnest(queues) AS name WHERE name IS NOT NULL) AS queues,
       ARRAY(SELECT name FROM unnest(kinds) AS name WHERE name IS NOT NULL LIMIT shown.kinds_each) AS kinds,
       GREATEST(0, cardinality(kinds) - shown.kinds_each) AS unnamed_kinds,
       running, capacity, beat_at
  FROM consumers
 CROSS JOIN (
   SELECT GREATEST(1, LEAST(CAST(:most AS integer), CAST(:in_all AS integer) / GREATEST(1, count(*)))) AS kinds_each
     FROM consumers
    WHERE expires_at > now()
 ) AS shown
 WHERE expires_at > now()
 ORDER BY started_at, id
