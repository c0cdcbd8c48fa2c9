-- Every kind that some consumer has served.
SELECT kind, payload_schema, max_attempts, timeout FROM kinds
