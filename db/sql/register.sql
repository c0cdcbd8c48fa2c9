-- A consumer's first beat (L1 rows).
INSERT INTO consumers (id, host, pid, queues, kinds, signature, capacity, lease_seconds, expires_at)
VALUES (
  CAST(:id AS uuid),
  :host,
  CAST(:pid AS integer),
  CAST(:queues AS text[]),
  CAST(:kinds AS text[]),
  :signature,
  CAST(:capacity AS integer),
  CAST(:lease AS double precision),
  now() + CAST(:lease AS double precision) * interval '1 second'
)
ON CONFLICT (id) DO NOTHING
