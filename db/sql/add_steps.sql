-- Make sure that each step has its row.
INSERT INTO upkeep (step) SELECT unnest(CAST(:steps AS text[])) ON CONFLICT (step) DO NOTHING
