-- Stay alive (L1 rows). No row: declared dead, for good. A lease that has run out by this clock alone is renewed: the clock may
-- have stepped, and nobody has judged.
UPDATE consumers
   SET beat_at = now(),
       running = CAST(:running AS integer),
       expires_at = now() + lease_seconds * interval '1 second'
 WHERE id = CAST(:id AS uuid)
   AND expires_at > '-infinity'
