import Fairness
import Ledger
import SQLStore

// What differs from one database to the next; SQLStore has the rest.
extension PostgresStore: AccountStore {
  public func chains(
    of account: AccountID, prefix: [UInt8], after: (key: KeyID, clientSeed: ClientSeed)?, limit: Int
  ) async throws -> [ChainReport] {
    // No client seed begins with the byte FF, which is no UTF-8.
    let end = ClientSeed.end(ofPrefix: prefix) ?? [0xFF]
    return try await reading.read { connection in
      let rows = try connection.run([
        Query(.listChains) {
          $0.bind(account.rawValue)
          $0.bind(prefix)
          $0.bind(end)
          $0.bind(after?.key.rawValue ?? 0)
          $0.bind(after?.clientSeed.bytes ?? [])
          $0.bind(Int64(limit))
        }
      ])[0]
      return try (0..<rows.count).map { row in
        ChainReport(
          key: KeyID(rows.integer(row, 0)), clientSeed: try ClientSeed(rows.bytes(row, 1)),
          serverHash: try ServerHash(bytes: rows.bytes(row, 2)), cursor: rows.integer(row, 3),
          nonce: rows.integer(row, 4), created: rows.integer(row, 5))
      }
    }
  }

  public func revealedOutcomes(
    of account: AccountID, after: (key: KeyID, chain: Int64)?, limit: Int
  ) async throws -> [(key: KeyID, outcome: Outcome)] {
    try await reading.read { connection in
      let chains = try connection.run([
        Query(.listRevealedChains) {
          $0.bind(account.rawValue)
          $0.bind(after?.key.rawValue ?? 0)
          $0.bind(after?.chain ?? 0)
          $0.bind(Int64(limit))
        }
      ])[0]
      // Each such chain has one outcome, and outcomes are found by their numbers alone.
      let newest = try (0..<chains.count).map { row in
        guard let id = OutcomeTrail(chains.bytes(row, 1))?.newest else {
          throw StoreFailure.damaged("the trail of a revealed commitment's chain is damaged")
        }
        return id
      }
      let rows = try connection.run([
        Query(.listRevealedOutcomes) {
          $0.bind(newest)
          $0.bind(Int64(OutcomePage.maximumBytes))
        }
      ])[0]
      guard rows.count > 0 || newest.isEmpty else { throw StoreFailure.damaged("a revealed commitment has no outcome") }
      return try (0..<rows.count).map {
        (KeyID(chains.integer($0, 0)), try Outcome(row: $0, of: rows, mode: .live))
      }
    }
  }

  public func testOutcomes(
    of account: AccountID, after: (clientSeed: ClientSeed, id: Int64)?, limit: Int
  ) async throws -> [Outcome] {
    try await reading.read { connection in
      let rows = try connection.run([
        Query(.listTestOutcomesOfAccount) {
          $0.bind(account.rawValue)
          $0.bind(after?.clientSeed.bytes ?? [])
          $0.bind(after?.id ?? 0)
          $0.bind(Int64(limit))
          $0.bind(Int64(OutcomePage.maximumBytes))
        }
      ])[0]
      return try (0..<rows.count).map { try Outcome(row: $0, of: rows, mode: .test) }
    }
  }
}

extension Outcome {
  /// Of id, chain, epoch, cursor, nonce, endpoint, value, fields, items, created, client seed, server hash.
  fileprivate init(row: Int, of rows: QueryResult, mode: Mode) throws {
    try self.init(
      id: rows.integer(row, 0), chain: rows.integer(row, 1), epoch: rows.integer(row, 2), cursor: rows.integer(row, 3),
      nonce: rows.integer(row, 4), endpoint: rows.integer(row, 5), stored: rows.bytes(row, 6),
      fields: rows.bytes(row, 7), items: rows.optionalBytes(row, 8), created: rows.integer(row, 9),
      clientSeed: rows.bytes(row, 10), serverHash: rows.optionalBytes(row, 11), mode: mode)
  }
}

extension Statement {
  /// An account's live keys `k` that come at or after the key of the last row of the page before.
  private static func liveKeys(after place: String) -> String {
    """
    k.account_id = $1::bigint AND k.mode = 1 AND k.id >= \(place)
      AND EXISTS (SELECT 1 FROM accounts a WHERE a.id = k.account_id AND a.deleted IS NULL)
    """
  }

  fileprivate static let listChains = Statement(
    "list-chains",
    """
    SELECT k.id, c.client_seed, c.server_hash, c.cursor, c.nonce, c.created
    FROM api_keys k CROSS JOIN LATERAL (
      SELECT * FROM chains WHERE owner_id = k.id AND client_seed >= $2::bytea AND client_seed < $3::bytea
        AND client_seed > CASE k.id WHEN $4::bigint THEN $5::bytea ELSE ''::bytea END
      ORDER BY client_seed LIMIT $6::bigint) c
    WHERE \(liveKeys(after: "$4::bigint")) ORDER BY k.id, c.client_seed LIMIT $6::bigint
    """)

  fileprivate static let listRevealedChains = Statement(
    "list-revealed-chains",
    """
    SELECT k.id, c.trail
    FROM api_keys k CROSS JOIN LATERAL (
      SELECT chain_id FROM commitments WHERE owner_id = k.id AND revealed IS NOT NULL
        AND chain_id > CASE k.id WHEN $2::bigint THEN $3::bigint ELSE 0 END
      ORDER BY chain_id LIMIT $4::bigint) m
      JOIN chains c ON c.owner_id = -m.chain_id AND c.id = m.chain_id
    WHERE \(liveKeys(after: "$2::bigint")) ORDER BY k.id, m.chain_id LIMIT $4::bigint
    """)

  /// In the order of their numbers in $1, until they have $2 bytes.
  fileprivate static let listRevealedOutcomes = Statement(
    "list-revealed-outcomes",
    """
    SELECT o.id, o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created,
      c.client_seed, c.server_hash
    FROM (
      SELECT o.id, n.place, sum(\(outcomeBytes)) OVER (ORDER BY n.place) - (\(outcomeBytes)) AS before
      FROM unnest($1::bigint[]) WITH ORDINALITY AS n (id, place) JOIN outcomes o ON o.id = n.id) n
      JOIN outcomes o ON o.id = n.id JOIN chains c ON c.owner_id = o.owner_id AND c.id = o.chain_id
    WHERE n.before < $2::bigint ORDER BY n.place
    """)

  fileprivate static let listTestOutcomesOfAccount = Statement(
    "list-test-outcomes-of-account",
    """
    SELECT t.id, 0::bigint, 0::bigint, 0::bigint, 0::bigint, t.endpoint, t.value, t.fields, t.items, t.created,
      t.client_seed, t.server_hash
    FROM (
      SELECT id, sum(bytes) OVER (ORDER BY client_seed, id) - bytes AS before
      FROM (
        SELECT o.id, o.client_seed, \(outcomeBytes) AS bytes
        FROM test_outcomes o JOIN accounts a ON a.id = o.account_id
        WHERE o.account_id = $1::bigint AND a.deleted IS NULL AND (o.client_seed, o.id) > ($2::bytea, $3::bigint)
        ORDER BY o.client_seed, o.id LIMIT $4::bigint) o) p
      JOIN test_outcomes t ON t.id = p.id
    WHERE p.before < $5::bigint ORDER BY t.client_seed, t.id
    """)
}
