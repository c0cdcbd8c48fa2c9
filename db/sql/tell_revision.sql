-- The revision of our tables of before sluice_version, told from what each revision added. The name in alembic_version
-- is not asked: another program's revisions may be called alike.
SELECT CASE
         WHEN EXISTS (
           SELECT FROM pg_attribute
            WHERE attrelid = consumers.oid AND attname = 'suspect_id' AND NOT attisdropped
         ) IS FALSE THEN '0001'
         WHEN 'fillfactor=50' = ANY (tasks.reloptions) THEN '0003'
         ELSE '0002'
       END
  FROM pg_class AS tasks
  JOIN pg_class AS consumers
    ON consumers.relnamespace = tasks.relnamespace AND consumers.relname = 'consumers'
 WHERE tasks.relname = 'tasks'
   AND tasks.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = CAST(:space AS text))
