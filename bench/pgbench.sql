-- What one draw comes to in SQL, as a program would do it that keeps no groups: take a nonce, record the outcome.
\set chain random(1, 1000)
BEGIN;
UPDATE chains SET nonce = nonce + 1 WHERE owner_id = 0 AND client_seed = decode(:chain::text, 'escape') RETURNING nonce - 1 AS nonce \gset
INSERT INTO outcomes (id, owner_id, chain_id, previous, jump, cursor, nonce, epoch, created, endpoint, value, fields) VALUES (nextval('numbers'), 0, :chain, 0, 0, 0, :nonce, 0, 1767225600000, 2, '[42]', '"count":1,"min":1,"max":100');
COMMIT;
