-- Which of these runs their rows still say to be on (L4 reconcile). By primary key: it costs what runs here, whatever ran before.
-- The token alone says so (R2 fence). With `status = 'processing'` in its WHERE the planner would take a small index that an
-- old snapshot fills with dead entries.
SELECT task.id, task.fencing_token
  FROM unnest(CAST(:ids AS uuid[]), CAST(:tokens AS bigint[])) AS run (id, token)
  JOIN tasks AS task
    ON task.id = run.id
   AND task.fencing_token = run.token
