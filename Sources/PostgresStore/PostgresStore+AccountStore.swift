import Fairness
import Ledger
import SQLStore

// What differs from one database to the next; SQLStore has the rest.
extension PostgresStore: AccountStore {
  public func revealedOutcomes(of account: AccountID, after: Int64?, limit: Int) async throws -> [Outcome] {
    try await reading.read { connection in
      let chains = try connection.run([
        Query(.listRevealedChains) {
          $0.bind(account.rawValue)
          $0.bind(after ?? 0)
          $0.bind(Int64(limit))
        }
      ])[0]
      // Each such chain has one outcome, and outcomes are found by their numbers alone.
      let newest = try (0..<chains.count).map { row in
        guard let id = OutcomeTrail(chains.bytes(row, 0))?.newest else {
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
      return try (0..<rows.count).map { try Outcome(row: $0, of: rows, mode: .live) }
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
  fileprivate static let listRevealedChains = Statement(
    "list-revealed-chains",
    """
    SELECT c.trail FROM commitments m JOIN chains c ON c.owner_id = -m.chain_id AND c.id = m.chain_id
    WHERE m.owner_id = $1::bigint AND m.chain_id > $2::bigint AND m.revealed IS NOT NULL
      AND EXISTS (SELECT 1 FROM accounts WHERE id = $1::bigint AND deleted IS NULL)
    ORDER BY m.chain_id LIMIT $3::bigint
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
