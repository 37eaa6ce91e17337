/// The write path's statements. Lists come as arrays, one for each column, and are taken apart by `unnest` in a list of
/// results: there it gives one row after the other, whereas in FROM each array is first written out whole, which takes
/// two thirds of the time of an insert.
extension PostgresStatement {
  static let doNotWait: PostgresStatement = "SET LOCAL synchronous_commit = off"

  /// Sets numbers aside.
  static let reserve: PostgresStatement = """
    UPDATE counters SET next = next + $2::bigint WHERE name = $1::text RETURNING next - $2::bigint
    """

  // MARK: Load, each in the order the rows were asked for

  /// Held by every group to its end, by any number at once. Sealing a day takes the lock for itself alone, and so waits
  /// for the groups that have taken their time from before. The number has no meaning, but must stay: servers of other
  /// versions use it.
  static let shareLog: PostgresStatement = "SELECT pg_advisory_xact_lock_shared(7377296385242064672)"
  static let holdLog: PostgresStatement = "SELECT pg_advisory_xact_lock(7377296385242064672)"

  static let lockAccounts: PostgresStatement = """
    SELECT id, daily_quota FROM accounts WHERE id = ANY ($1::bigint[]) AND deleted IS NULL ORDER BY id FOR NO KEY UPDATE
    """

  /// Held by a group that counts anonymous draws against their quota, to its end. The number is "fairanon" in ASCII.
  static let lockAnonymous: PostgresStatement = "SELECT pg_advisory_xact_lock(7377293604591398766)"

  private static let chainsAskedFor = """
    (SELECT unnest($1::bigint[]) AS owner_id, unnest($2::bytea[]) AS client_seed, unnest($3::bigint[]) AS place) n
    JOIN chains c ON c.owner_id = n.owner_id AND c.client_seed = n.client_seed
    """

  /// The row that trail `t.bytes`, with zeros after it, calls its newest outcome: the second of its numbers, which begins
  /// at `t.start`. See ``OutcomeTrail/bytes``.
  private static let newest = (0..<9).reversed().reduce("0::bigint") { rest, index in
    let byte = "get_byte(t.bytes, t.start + \(index))"
    return """
      ((\(byte) & 127)::bigint << \(7 * index)) | CASE WHEN \(byte) < 128 THEN 0::bigint ELSE \(rest) END
      """
  }

  /// Where a trail's second number begins.
  private static let startOfNewest =
    "CASE " + (0..<8).map { "WHEN get_byte(b.bytes, \($0)) < 128 THEN \($0 + 1)" }.joined(separator: " ")
    + " ELSE 9 END"

  private static let chainColumns =
    "n.place, c.id, c.era, c.epoch, c.server_hash, c.cursor, c.nonce, c.created, c.trail, c.moved"

  /// Chains that nobody else can move: their account is locked.
  static let selectChains: PostgresStatement = "SELECT \(chainColumns) FROM \(chainsAskedFor)"

  static let lockChains: PostgresStatement =
    "SELECT \(chainColumns) FROM \(chainsAskedFor) ORDER BY n.place FOR NO KEY UPDATE OF c"

  /// What is recorded of chains that nobody else can move any more: of each the newest outcome that its trail leads to, and
  /// the server seed that was revealed last. It comes after the statements that lock, so as to see all that was committed
  /// before.
  static let selectEvidence: PostgresStatement = """
    SELECT n.place, o.chain_id, o.epoch, o.cursor, o.nonce, o.created, r.epoch, r.cursor, r.nonce
    FROM \(chainsAskedFor)
      CROSS JOIN LATERAL (
        SELECT b.bytes, \(startOfNewest) AS start
        FROM (SELECT c.trail || decode('\(String(repeating: "00", count: 20))', 'hex') AS bytes OFFSET 0) b OFFSET 0) t
      LEFT JOIN outcomes o ON o.id = (\(newest))
      LEFT JOIN LATERAL (
        SELECT v.epoch, v.cursor, v.nonce FROM revealed_seeds v
        WHERE v.owner_id = c.owner_id AND v.chain_id = c.id ORDER BY v.epoch DESC LIMIT 1) r ON true
    """

  static let selectRecords: PostgresStatement = """
    SELECT n.place, i.fingerprint, i.request, i.status, i.created,
      CASE WHEN n.fingerprint IN (i.fingerprint, '') THEN i.answer END
    FROM (
      SELECT unnest($1::uuid[]) AS digest, unnest($2::bytea[]) AS fingerprint, unnest($3::bigint[]) AS place) n
    JOIN idempotency i ON i.digest = n.digest
    """

  static let selectTestOutcomes: PostgresStatement = """
    SELECT n.place, t.id, t.client_seed, t.server_hash, t.endpoint, t.value, t.fields, t.items, t.created
    FROM (SELECT unnest($1::bigint[]) AS account_id, unnest($2::bytea[]) AS digest, unnest($3::bigint[]) AS place) n
    JOIN test_outcomes t ON t.account_id = n.account_id AND t.digest = n.digest
    """

  static let lockCommitments: PostgresStatement = """
    SELECT n.place, c.chain_id, c.owner_id, c.sealed_seed, c.created, c.expires, c.outcome_id, c.client_seed, c.revealed
    FROM (SELECT unnest($1::uuid[]) AS commit_id, unnest($2::bigint[]) AS place) n
    JOIN commitments c ON c.commit_id = n.commit_id
    ORDER BY n.place FOR NO KEY UPDATE OF c
    """

  /// What is little, in one: (0, now), now being in no day that is sealed, (1, key, quota) for each key that may be used,
  /// the quota being -1 where it has none of its own, (4, key, day, count) for the usage of those that have one,
  /// (2, account, day, count) for usage of today and, should the clock be behind, of days to come, (3, account, endpoint,
  /// events) for each enabled webhook endpoint.
  static let selectFacts: PostgresStatement = """
    WITH clock AS (
      SELECT greatest(
        coalesce($3::bigint, \(now)), (SELECT (max(day) + 1) * 86400000 FROM merkle_days WHERE day BETWEEN 0 AND 2932895)) AS now),
    usable AS MATERIALIZED (
      SELECT account_id, id, daily_quota FROM api_keys
      WHERE account_id = ANY ($1::bigint[]) AND id = ANY ($2::bigint[]) AND revoked IS NULL)
    SELECT 0::bigint, now, 0::bigint, 0::bigint FROM clock
    UNION ALL
    SELECT 1, id, coalesce(daily_quota, -1), 0 FROM usable
    UNION ALL
    SELECT 4, u.key_id, u.day, u.count
    FROM usable k CROSS JOIN LATERAL (
      SELECT key_id, day, count FROM key_usage
      WHERE account_id = k.account_id AND key_id = k.id AND day >= (SELECT now / 86400000 FROM clock) OFFSET 0) u
    WHERE k.daily_quota IS NOT NULL
    UNION ALL
    SELECT 2, account_id, day, least(sum(count), 9223372036854775807)::bigint FROM usage
    WHERE account_id = ANY ($1::bigint[]) AND day >= (SELECT now / 86400000 FROM clock) GROUP BY account_id, day
    UNION ALL
    SELECT 3, account_id, id, events FROM webhook_endpoints
    WHERE account_id = ANY ($1::bigint[]) AND disabled IS NULL AND deleted IS NULL
    """

  /// The database's time, in Unix milliseconds.
  static let now = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

  // MARK: Store

  static let insertChains: PostgresStatement = """
    INSERT INTO chains (owner_id, client_seed, id, era, epoch, server_hash, cursor, nonce, created, moved, trail)
    SELECT unnest($1::bigint[]), unnest($2::bytea[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::bigint[]),
      unnest($6::bytea[]), unnest($7::bigint[]), unnest($8::bigint[]), unnest($9::bigint[]), $10::bigint,
      unnest($11::bytea[])
    """

  /// Whether chain `c` is where the group was decided from. That is what keeps two outcomes from the same coordinates. The
  /// commit travels with the statement, so that it must fail by itself where it is not: it divides by zero.
  private static let mustNotHaveMoved = "CASE WHEN c.cursor = n.old_cursor AND c.nonce = n.old_nonce THEN 1 ELSE 0 END"

  /// By their ids: an index of numbers is searched faster than one of client seeds.
  static let moveChains: PostgresStatement = """
    UPDATE chains c SET cursor = n.cursor, nonce = n.nonce / \(mustNotHaveMoved), moved = $5::bigint, trail = n.trail
    FROM (SELECT unnest($1::bigint[]) AS owner_id, unnest($2::bigint[]) AS id, unnest($3::bigint[]) AS cursor,
      unnest($4::bigint[]) AS nonce, unnest($6::bigint[]) AS old_cursor, unnest($7::bigint[]) AS old_nonce,
      unnest($8::bytea[]) AS trail) n
    WHERE c.owner_id = n.owner_id AND c.id = n.id
    """

  static let rotateChains: PostgresStatement = """
    UPDATE chains c SET era = n.era, epoch = n.epoch, server_hash = n.server_hash, cursor = n.cursor,
      nonce = n.nonce / \(mustNotHaveMoved), moved = $8::bigint, trail = n.trail
    FROM (SELECT unnest($1::bigint[]) AS owner_id, unnest($2::bigint[]) AS id, unnest($3::bigint[]) AS era,
      unnest($4::bigint[]) AS epoch, unnest($5::bytea[]) AS server_hash, unnest($6::bigint[]) AS cursor,
      unnest($7::bigint[]) AS nonce, unnest($9::bigint[]) AS old_cursor, unnest($10::bigint[]) AS old_nonce,
      unnest($11::bytea[]) AS trail) n
    WHERE c.owner_id = n.owner_id AND c.id = n.id
    """

  static let insertRevealedSeeds: PostgresStatement = """
    INSERT INTO revealed_seeds (owner_id, chain_id, era, epoch, server_seed, server_hash, cursor, nonce, revealed)
    SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::bytea[]),
      unnest($6::bytea[]), unnest($7::bigint[]), unnest($8::bigint[]), unnest($9::bigint[])
    """

  static let insertCommitments: PostgresStatement = """
    INSERT INTO commitments (owner_id, chain_id, commit_id, sealed_seed, server_hash, created, expires)
    SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::uuid[]), unnest($4::bytea[]), unnest($5::bytea[]),
      unnest($6::bigint[]), unnest($7::bigint[])
    """

  /// Fails where a commitment was used before, like ``moveChains``.
  static let useCommitments: PostgresStatement = """
    UPDATE commitments c SET outcome_id = n.outcome_id, client_seed = n.client_seed,
      revealed = n.revealed / CASE WHEN c.revealed IS NULL THEN 1 ELSE 0 END
    FROM (SELECT unnest($1::bigint[]) AS owner_id, unnest($2::bigint[]) AS chain_id, unnest($3::bigint[]) AS outcome_id,
      unnest($4::bytea[]) AS client_seed, unnest($5::bigint[]) AS revealed) n
    WHERE c.owner_id = n.owner_id AND c.chain_id = n.chain_id
    """

  static let insertOutcomes: PostgresStatement = """
    INSERT INTO outcomes
      (id, owner_id, chain_id, previous, jump, cursor, nonce, epoch, endpoint, created, value, fields, items)
    SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::bigint[]),
      unnest($6::bigint[]), unnest($7::bigint[]), unnest($8::bigint[]), unnest($9::smallint[]), $10::bigint,
      unnest($11::bytea[]), unnest($12::bytea[]), unnest($13::bytea[])
    """

  static let insertRun: PostgresStatement =
    "INSERT INTO outcome_runs (created, first, last) VALUES ($1::bigint, $2::bigint, $3::bigint)"

  /// The accounts are locked: nobody else adds to their lists.
  static let insertAccountRuns: PostgresStatement = """
    INSERT INTO account_runs (owner_id, number, first, last)
    SELECT n.owner_id,
      greatest($2::bigint, (SELECT max(r.number) + 1 FROM account_runs r WHERE r.owner_id = n.owner_id)), n.first, n.last
    FROM (SELECT unnest($1::bigint[]) AS owner_id, unnest($3::bigint[]) AS first, unnest($4::bigint[]) AS last) n
    """

  static let insertLog: PostgresStatement =
    "INSERT INTO log_queue (drawn, entries) VALUES ($1::bigint, $2::bytea)"

  /// Due at once.
  static let insertDeliveries: PostgresStatement = """
    INSERT INTO deliveries (endpoint_id, outcome_id, created, due)
    SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($3::bigint[])
    """

  static let insertEvents: PostgresStatement = """
    INSERT INTO deliveries (endpoint_id, event, created, due, data)
    SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($3::bigint[]), unnest($4::bytea[])
    """

  static let insertTestOutcomes: PostgresStatement = """
    INSERT INTO test_outcomes
      (account_id, digest, id, client_seed, server_hash, endpoint, value, fields, items, created)
    SELECT unnest($1::bigint[]), unnest($2::bytea[]), unnest($3::bigint[]), unnest($4::bytea[]), unnest($5::bytea[]),
      unnest($6::smallint[]), unnest($7::bytea[]), unnest($8::bytea[]), unnest($9::bytea[]), unnest($10::bigint[])
    """

  static let deleteRecords: PostgresStatement = """
    DELETE FROM idempotency WHERE digest = ANY ($1::uuid[])
    """

  static let insertRecords: PostgresStatement = """
    INSERT INTO idempotency (digest, created, request, status, fingerprint, answer)
    SELECT unnest($1::uuid[]), unnest($2::bigint[]), unnest($3::smallint[]), unnest($4::smallint[]),
      unnest($5::bytea[]), unnest($6::bytea[])
    """

  static let addUsage: PostgresStatement = """
    INSERT INTO usage AS u (account_id, day, endpoint, slot, count)
    SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::smallint[]), unnest($4::smallint[]),
      unnest($5::bigint[])
    ON CONFLICT (account_id, day, endpoint, slot) DO UPDATE SET count = u.count + excluded.count
    """

  static let noteHours: PostgresStatement = """
    INSERT INTO usage_hours AS u (account_id, hour, day, drawn)
    SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[])
    ON CONFLICT (account_id, hour) DO UPDATE SET day = excluded.day, drawn = excluded.drawn WHERE u.day < excluded.day
    """

  static let addKeyUsage: PostgresStatement = """
    INSERT INTO key_usage AS u (account_id, key_id, day, count)
    SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[])
    ON CONFLICT (account_id, key_id, day) DO UPDATE SET count = u.count + excluded.count
    """

  /// What expired before this minute. Whoever else is at a record just now sees to it. The time is found once, in a query
  /// of its own, so that the index can be asked for it.
  static let sweep: PostgresStatement = """
    DELETE FROM idempotency WHERE digest IN (
      SELECT digest FROM idempotency
      WHERE created / 60000 < (SELECT (coalesce($1::bigint, \(now)) - $2::bigint) / 60000)
      ORDER BY created / 60000 LIMIT $3::bigint FOR UPDATE SKIP LOCKED)
    """

  static let sweepCommitments: PostgresStatement = """
    DELETE FROM commitments WHERE (owner_id, chain_id) IN (
      SELECT owner_id, chain_id FROM commitments
      WHERE revealed IS NULL AND expires <= (SELECT coalesce($1::bigint, \(now)) - $2::bigint)
      ORDER BY expires LIMIT $3::bigint FOR UPDATE SKIP LOCKED)
    """

  static let probe: PostgresStatement = """
    INSERT INTO meta (name, value) VALUES ('probe', $1::bytea) ON CONFLICT (name) DO UPDATE SET value = excluded.value
    """
}
