-- A consumer that ends takes its row along.
DELETE FROM consumers WHERE id = CAST(:id AS uuid)
