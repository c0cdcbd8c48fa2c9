-- What the consumers whose lease is live serve, by the name of it, and how many serve the same.
SELECT signature, count(*) AS consumers
  FROM consumers
 WHERE expires_at > now()
   AND signature IS NOT NULL
 GROUP BY signature
