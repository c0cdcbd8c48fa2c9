-- What a consumer serves. Nothing is written where nothing changed, nor waited for: a row in conflict is locked even
-- if it then stays as it is.
INSERT INTO kinds (kind, payload_schema, max_attempts, timeout)
SELECT served.kind, CAST(served.payload_schema AS json), served.max_attempts, served.timeout
  FROM unnest(
         CAST(:kinds AS text[]),
         CAST(:schemas AS text[]),
         CAST(:max_attempts AS smallint[]),
         CAST(:timeouts AS double precision[])
       ) AS served (kind, payload_schema, max_attempts, timeout)
 WHERE NOT EXISTS (
         SELECT FROM kinds AS known
          WHERE known.kind = served.kind
            AND CAST(known.payload_schema AS text) IS NOT DISTINCT FROM served.payload_schema
            AND known.max_attempts IS NOT DISTINCT FROM served.max_attempts
            AND known.timeout IS NOT DISTINCT FROM served.timeout
       )
 ORDER BY served.kind
    ON CONFLICT (kind) DO UPDATE
   SET payload_schema = EXCLUDED.payload_schema,
       max_attempts = EXCLUDED.max_attempts,
       timeout = EXCLUDED.timeout,
       updated_at = now()
 WHERE CAST(kinds.payload_schema AS text) IS DISTINCT FROM CAST(EXCLUDED.payload_schema AS text)
    OR kinds.max_attempts IS DISTINCT FROM EXCLUDED.max_attempts
    OR kinds.timeout IS DISTINCT FROM EXCLUDED.timeout
