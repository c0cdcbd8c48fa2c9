-- What there is under each of our names, and what the role may do with it: in the schema that was named for us, else
-- wherever the search path finds it. A named schema is looked into through the catalogue, because a path leaves out
-- without a word what the role may not use. `marked` tells a table of ours: no other is likely to have that column.
SELECT known.name,
       space.nspname AS space,
       has_schema_privilege(space.oid, 'USAGE') AS usable,
       has_table_privilege(relation.oid, 'SELECT') AS readable,
       has_table_privilege(relation.oid, 'INSERT')
         AND has_table_privilege(relation.oid, 'UPDATE')
         AND has_table_privilege(relation.oid, 'DELETE') AS writable,
       EXISTS (
         SELECT FROM pg_attribute
          WHERE attrelid = relation.oid AND attname = known.mark AND NOT attisdropped
       ) AS marked
  FROM unnest(CAST(:names AS text[]), CAST(:marks AS text[])) AS known (name, mark)
  JOIN pg_class AS relation
    ON relation.relname = known.name
  JOIN pg_namespace AS space
    ON space.oid = relation.relnamespace
 WHERE CASE WHEN CAST(:schema AS text) = '' THEN pg_table_is_visible(relation.oid)
            ELSE space.nspname = CAST(:schema AS text) END
