import Fairness
import Ledger

// What an account has drawn, for its dashboard and its export.

extension SQLDatabase {
  public func chains(
    of account: AccountID, prefix: [UInt8], after: ClientSeed?, limit: Int
  ) async throws -> [ChainReport] {
    let end: SQLStatement = ClientSeed.end(ofPrefix: prefix).map { "client_seed < \($0)" } ?? "true"
    return try await query { connection in
      try connection.rows(
        """
        SELECT client_seed, server_hash, cursor, nonce, created FROM chains
        WHERE owner_id = \(account.rawValue) AND client_seed >= \(prefix) AND \(end)
          AND client_seed > \(after?.bytes ?? []) AND \(SQLStatement.exists(account))
        ORDER BY client_seed LIMIT \(limit)
        """
      ).map(ChainReport.init(row:))
    }
  }

  public func revealedOutcomes(of account: AccountID, after: Int64?, limit: Int) async throws -> [Outcome] {
    try await query { connection in
      // Each such chain has one outcome.
      let numbers = try connection.rows(
        """
        SELECT c.trail FROM commitments m JOIN chains c ON c.owner_id = -m.chain_id AND c.id = m.chain_id
        WHERE m.owner_id = \(account.rawValue) AND m.chain_id > \(after ?? 0) AND m.revealed IS NOT NULL
          AND \(SQLStatement.exists(account))
        ORDER BY m.chain_id LIMIT \(limit)
        """
      ).map {
        guard let newest = OutcomeTrail(try $0.bytes("trail"))?.newest else {
          throw StoreFailure.damaged("the trail of a revealed commitment's chain is damaged")
        }
        return newest
      }
      let sizes = try connection.run(
        numbers.map { "SELECT \(SQLStatement.outcomeBytes) AS bytes FROM outcomes o WHERE o.id = \($0)" }
      ).map { try $0.rows.first?.count("bytes") ?? 0 }
      var bytes = 0
      let page = zip(numbers, sizes).prefix { _, size in
        defer { bytes += size }
        return bytes < OutcomePage.maximumBytes
      }.map(\.0)
      let dialect = connection.dialect
      let found = try connection.run(
        page.map {
          """
          SELECT o.id AS outcome_id, \(dialect.outcomeColumns) FROM outcomes o LEFT JOIN \(dialect.chainOfOutcome)
          WHERE o.id = \($0)
          """
        })
      return try zip(page, found).map { number, found in
        guard let row = found.rows.first else { throw StoreFailure.damaged("outcome \(number) is not there") }
        return try Outcome(row: row, mode: .live)
      }
    }
  }

  public func testOutcomes(
    of account: AccountID, after: (clientSeed: ClientSeed, id: Int64)?, limit: Int
  ) async throws -> [Outcome] {
    try await query { connection in
      try connection.rows(
        """
        SELECT o.id AS outcome_id, \(SQLStatement.testOutcomeColumns)
        FROM (
          SELECT id, sum(bytes) OVER (ORDER BY client_seed, id) - bytes AS before
          FROM (
            SELECT o.id, o.client_seed, \(SQLStatement.outcomeBytes) AS bytes
            FROM test_outcomes o WHERE o.account_id = \(account.rawValue) AND \(SQLStatement.exists(account))
              AND (o.client_seed, o.id) > (\(after?.clientSeed.bytes ?? []), \(after?.id ?? 0))
            ORDER BY o.client_seed, o.id LIMIT \(limit)) o) p
          JOIN test_outcomes o ON o.id = p.id
        WHERE p.before < \(OutcomePage.maximumBytes) ORDER BY o.client_seed, o.id
        """
      ).map { try Outcome(row: $0, mode: .test) }
    }
  }
}

extension SQLStatement {
  /// Whether the account is there, and was not deleted.
  fileprivate static func exists(_ account: AccountID) -> SQLStatement {
    "EXISTS (SELECT 1 FROM accounts WHERE id = \(account.rawValue) AND deleted IS NULL)"
  }
}

extension ChainReport {
  fileprivate init(row: SQLRow) throws {
    self.init(
      clientSeed: try ClientSeed(row.bytes("client_seed")), serverHash: try ServerHash(bytes: row.bytes("server_hash")),
      cursor: try row.integer("cursor"), nonce: try row.integer("nonce"), created: try row.integer("created"))
  }
}
