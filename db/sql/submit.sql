-- Insert many tasks at once; an id that is there already is left alone, so that a lost answer can be repeated.
INSERT INTO tasks (id, kind, queue, priority, message, payload, run_at, max_attempts, timeout)
SELECT new.id,
       new.kind,
       new.queue,
       new.priority,
       new.message,
       CAST(new.payload AS json),
       GREATEST(now(), COALESCE(new.run_at, now() + new.delay * interval '1 second', now())),
       new.max_attempts,
       new.timeout
  FROM unnest(
         CAST(:ids AS uuid[]),
         CAST(:kinds AS text[]),
         CAST(:queues AS text[]),
         CAST(:priorities AS smallint[]),
         CAST(:messages AS text[]),
         CAST(:payloads AS text[]),
         CAST(:run_ats AS timestamptz[]),
         CAST(:delays AS double precision[]),
         CAST(:max_attempts AS smallint[]),
         CAST(:timeouts AS double precision[])
       ) AS new (id, kind, queue, priority, message, payload, run_at, delay, max_attempts, timeout)
    ON CONFLICT (id) DO NOTHING
RETURNING id, created_at, run_at, run_at <= now() AS due
