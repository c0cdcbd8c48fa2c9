-- The queues and kinds behind these names.
SELECT DISTINCT ON (signature) signature,
       ARRAY(SELECT name FROM unnest(queues) AS name WHERE name IS NOT NULL) AS queues,
       ARRAY(SELECT name FROM unnest(kinds) AS name WHERE name IS NOT NULL) AS kinds
  FROM consumers
 WHERE expires_at > now()
   AND signature = ANY (CAST(:names AS text[]))
 ORDER BY signature
