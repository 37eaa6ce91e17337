-- What one draw with an idempotency key comes to: the same, and the answer is kept for a retry.
\set chain random(1, 1000)
BEGIN;
UPDATE chains SET nonce = nonce + 1 WHERE owner_id = 0 AND client_seed = decode(:chain::text, 'escape') RETURNING nonce - 1 AS nonce \gset
INSERT INTO outcomes (id, owner_id, chain_id, previous, jump, cursor, nonce, epoch, created, endpoint, value, fields) VALUES (nextval('numbers'), 0, :chain, 0, 0, 0, :nonce, 0, 1767225600000, 2, '[42]', '"count":1,"min":1,"max":100');
INSERT INTO idempotency (account_id, digest, mode, key, fingerprint, status, short_id, body, created) VALUES (1, gen_random_uuid(), 1, decode(repeat('61', 46), 'hex'), decode(repeat('00', 32), 'hex'), 200, decode(repeat('61', 10), 'hex'), decode(repeat('61', 400), 'hex'), 1767225600000);
COMMIT;
