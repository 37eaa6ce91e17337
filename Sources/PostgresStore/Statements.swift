/// The write path's statements. Lists come as arrays, one for each column.
extension Statement {
  static let doNotWait = Statement("do-not-wait", "SET LOCAL synchronous_commit = off")

  /// Sets numbers aside.
  static let reserve = Statement(
    "reserve",
    """
    UPDATE counters SET next = next + $2::bigint WHERE name = $1::text RETURNING next - $2::bigint
    """)

  // MARK: Load, each in the order the rows were asked for

  /// Held by every group to its end, by any number at once. Sealing a day takes the lock for itself alone, and so waits
  /// for the groups that have taken their time from before. The number is "fairlog " in ASCII.
  static let shareLog = Statement("share-log", "SELECT pg_advisory_xact_lock_shared(7377296385242064672)")
  static let holdLog = Statement("hold-log", "SELECT pg_advisory_xact_lock(7377296385242064672)")

  static let lockAccounts = Statement(
    "lock-accounts",
    """
    SELECT id, daily_quota FROM accounts WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE
    """)

  static let lockChains = Statement(
    "lock-chains",
    """
    SELECT n.place, c.id, c.epoch, c.sealed_seed, c.cursor, c.nonce, c.created, c.moved
    FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY AS n (owner_id, client_seed, place)
    JOIN chains c ON c.owner_id = n.owner_id AND c.client_seed = n.client_seed
    ORDER BY n.place FOR UPDATE OF c
    """)

  static let selectRecords = Statement(
    "select-records",
    """
    SELECT n.place, i.fingerprint, i.status, i.short_id, i.body, i.created
    FROM unnest($1::bigint[], $2::uuid[]) WITH ORDINALITY AS n (account_id, digest, place)
    JOIN idempotency i ON i.account_id = n.account_id AND i.digest = n.digest
    """)

  static let selectTestOutcomes = Statement(
    "select-test-outcomes",
    """
    SELECT n.place, t.id, t.client_seed, t.server_hash, t.endpoint, t.value, t.fields, t.items, t.created
    FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY AS n (account_id, digest, place)
    JOIN test_outcomes t ON t.account_id = n.account_id AND t.digest = n.digest
    """)

  static let lockCommitments = Statement(
    "lock-commitments",
    """
    SELECT n.place, c.chain_id, c.owner_id, c.sealed_seed, c.created, c.expires, c.revealed
    FROM unnest($1::uuid[]) WITH ORDINALITY AS n (commit_id, place) JOIN commitments c ON c.commit_id = n.commit_id
    ORDER BY n.place FOR UPDATE OF c
    """)

  /// What is little, in one: (0, now), now being in no day that is sealed, (1, key) for each key that may be used, (2, account, day, count) for usage of
  /// today and, should the clock be behind, of days to come, (3, account, endpoint) for each enabled webhook endpoint.
  static let selectFacts = Statement(
    "select-facts",
    """
    WITH clock AS (
      SELECT greatest(
        coalesce($3::bigint, \(now)), (SELECT (max(day) + 1) * 86400000 FROM merkle_days)) AS now)
    SELECT 0::bigint, now, 0::bigint, 0::bigint FROM clock
    UNION ALL
    SELECT 1, id, 0, 0 FROM api_keys
    WHERE account_id = ANY ($1::bigint[]) AND id = ANY ($2::bigint[]) AND revoked IS NULL
    UNION ALL
    SELECT 2, account_id, day, sum(count)::bigint FROM usage
    WHERE account_id = ANY ($1::bigint[]) AND day >= (SELECT now / 86400000 FROM clock) GROUP BY account_id, day
    UNION ALL
    SELECT 3, account_id, id, 0 FROM webhook_endpoints
    WHERE account_id = ANY ($1::bigint[]) AND disabled IS NULL AND deleted IS NULL
    """)

  /// The database's time, in Unix milliseconds.
  static let now = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

  // MARK: Store

  static let insertChains = Statement(
    "insert-chains",
    """
    INSERT INTO chains (owner_id, client_seed, id, epoch, sealed_seed, server_hash, cursor, nonce, created, moved)
    SELECT n.*, $10::bigint
    FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bigint[],
      $8::bigint[], $9::bigint[]) AS n
    """)

  static let moveChains = Statement(
    "move-chains",
    """
    UPDATE chains c SET cursor = n.cursor, nonce = n.nonce, moved = $5::bigint
    FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[]) AS n (owner_id, client_seed, cursor, nonce)
    WHERE c.owner_id = n.owner_id AND c.client_seed = n.client_seed
    """)

  static let rotateChains = Statement(
    "rotate-chains",
    """
    UPDATE chains c SET epoch = n.epoch, sealed_seed = n.sealed_seed, server_hash = n.server_hash, cursor = n.cursor,
      nonce = n.nonce, moved = $8::bigint
    FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bigint[])
      AS n (owner_id, client_seed, epoch, sealed_seed, server_hash, cursor, nonce)
    WHERE c.owner_id = n.owner_id AND c.client_seed = n.client_seed
    """)

  static let insertRevealedSeeds = Statement(
    "insert-revealed-seeds",
    """
    INSERT INTO revealed_seeds (owner_id, chain_id, epoch, server_seed, server_hash, cursor, nonce, revealed)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bigint[],
      $8::bigint[])
    """)

  static let insertCommitments = Statement(
    "insert-commitments",
    """
    INSERT INTO commitments (owner_id, chain_id, commit_id, sealed_seed, server_hash, created, expires)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bigint[])
    """)

  /// That one cannot be used twice follows from its outcome, whose coordinates cannot.
  /// The commit travels with it, so that it must fail by itself where a commitment was used before: it divides by zero.
  static let useCommitments = Statement(
    "use-commitments",
    """
    UPDATE commitments c SET revealed = n.revealed / CASE WHEN c.revealed IS NULL THEN 1 ELSE 0 END
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS n (owner_id, chain_id, revealed)
    WHERE c.owner_id = n.owner_id AND c.chain_id = n.chain_id
    """)

  static let insertOutcomes = Statement(
    "insert-outcomes",
    """
    INSERT INTO outcomes
      (owner_id, chain_id, cursor, nonce, id, created, epoch, endpoint, value, fields, items)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
      $7::bigint[], $8::smallint[], $9::bytea[], $10::bytea[], $11::bytea[])
    """)

  /// Due at once.
  static let insertDeliveries = Statement(
    "insert-deliveries",
    """
    INSERT INTO deliveries (endpoint_id, outcome_id, created, due)
    SELECT n.*, n.created FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS n (endpoint_id, outcome_id, created)
    """)

  static let insertTestOutcomes = Statement(
    "insert-test-outcomes",
    """
    INSERT INTO test_outcomes
      (account_id, digest, id, client_seed, server_hash, endpoint, value, fields, items, created)
    SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bytea[], $5::bytea[], $6::smallint[],
      $7::bytea[], $8::bytea[], $9::bytea[], $10::bigint[])
    """)

  static let deleteRecords = Statement(
    "delete-records",
    """
    DELETE FROM idempotency i USING unnest($1::bigint[], $2::uuid[]) AS n (account_id, digest)
    WHERE i.account_id = n.account_id AND i.digest = n.digest
    """)

  static let insertRecords = Statement(
    "insert-records",
    """
    INSERT INTO idempotency (account_id, digest, mode, key, fingerprint, status, short_id, body, created)
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::smallint[], $4::bytea[], $5::bytea[], $6::smallint[],
      $7::bytea[], $8::bytea[], $9::bigint[])
    """)

  static let addUsage = Statement(
    "add-usage",
    """
    INSERT INTO usage AS u (account_id, day, endpoint, slot, count)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::smallint[], $5::bigint[])
    ON CONFLICT (account_id, day, endpoint, slot) DO UPDATE SET count = u.count + excluded.count
    """)

  /// Whoever else is at a record just now sees to it.
  static let sweep = Statement(
    "sweep",
    """
    DELETE FROM idempotency WHERE (account_id, digest) IN (
      SELECT account_id, digest FROM idempotency WHERE created <= coalesce($1::bigint, \(now)) - $2::bigint
      ORDER BY created LIMIT $3::bigint FOR UPDATE SKIP LOCKED)
    """)

  static let sweepCommitments = Statement(
    "sweep-commitments",
    """
    DELETE FROM commitments WHERE (owner_id, chain_id) IN (
      SELECT owner_id, chain_id FROM commitments
      WHERE revealed IS NULL AND expires <= coalesce($1::bigint, \(now)) - $2::bigint
      ORDER BY expires LIMIT $3::bigint FOR UPDATE SKIP LOCKED)
    """)

  static let probe = Statement(
    "probe",
    """
    INSERT INTO meta (name, value) VALUES ('probe', $1::bytea) ON CONFLICT (name) DO UPDATE SET value = excluded.value
    """)
}
