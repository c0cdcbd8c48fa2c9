-- What a consumer serves. Nothing is written where nothing changed.
INSERT INTO kinds (kind, payload_schema, max_attempts, timeout)
SELECT kind, CAST(payload_schema AS json), max_attempts, timeout
  FROM unnest(
         CAST(:kinds AS text[]),
         CAST(:schemas AS text[]),
         CAST(:max_attempts AS smallint[]),
         CAST(:timeouts AS double precision[])
       ) AS served (kind, payload_schema, max_attempts, timeout)
 ORDER BY kind
    ON CONFLICT (kind) DO UPDATE
   SET payload_schema = EXCLUDED.payload_schema,
       max_attempts = EXCLUDED.max_attempts,
       timeout = EXCLUDED.timeout,
       updated_at = now()
 WHERE CAST(kinds.payload_schema AS text) IS DISTINCT FROM CAST(EXCLUDED.payload_schema AS text)
    OR kinds.max_attempts IS DISTINCT FROM EXCLUDED.max_attempts
    OR kinds.timeout IS DISTINCT FROM EXCLUDED.timeout
