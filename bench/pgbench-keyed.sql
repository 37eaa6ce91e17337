-- What one draw with an idempotency key comes to: the same, and a record is kept for a retry.
\set chain random(1, 1000)
BEGIN;
UPDATE chains SET nonce = nonce + 1 WHERE owner_id = 0 AND client_seed = decode(:chain::text, 'escape') RETURNING nonce - 1 AS nonce \gset
INSERT INTO outcomes (id, owner_id, chain_id, previous, jump, cursor, nonce, epoch, created, endpoint, value, fields) VALUES (nextval('numbers'), 0, :chain, 0, 0, 0, :nonce, 0, 1767225600000, 2, '[42]', '"count":1,"min":1,"max":100');
INSERT INTO idempotency (digest, created, request, status, fingerprint, answer) VALUES (gen_random_uuid(), 1767225600000, 4, 200, decode(repeat('00', 16), 'hex'), decode(repeat('61', 11), 'hex'));
COMMIT;
