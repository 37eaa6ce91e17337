-- What one draw comes to in SQL, as a program would do it that keeps no groups: take a nonce, record the outcome.
\set chain random(1, 1000)
BEGIN;
UPDATE chains SET nonce = nonce + 1 WHERE owner_id = 0 AND client_seed = decode(:chain::text, 'escape') RETURNING nonce - 1 AS nonce \gset
INSERT INTO outcomes (owner_id, chain_id, cursor, nonce, id, created, epoch, endpoint, value, fields) VALUES (0, :chain, 0, :nonce, :chain::bigint * 1000000000 + :nonce, 1767225600000, 0, 2, '[42]', '"count":1,"min":1,"max":100');
COMMIT;
