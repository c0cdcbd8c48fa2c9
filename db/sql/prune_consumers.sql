-- Forget consumers that have been dead for an hour; their tasks were reaped long before.
DELETE FROM consumers WHERE expires_at < now() - interval '1 hour'
