import Accounts
import Fairness
import Ledger

// What an account has drawn, for its dashboard and its export; and eras.

extension SQLDatabase {
  public func eras() async throws -> [Era] {
    try await query { connection in
      try connection.rows("SELECT * FROM eras ORDER BY number").map {
        Era(number: try $0.integer("number"), begun: try $0.integer("begun"), reason: try $0.text("reason"))
      }
    }
  }

  public func beginEra(reason: String, after known: Int64) async throws -> Era {
    try await transact(concernsGroups: true) { connection in
      let last = try connection.row("SELECT coalesce(max(number), 0) AS last FROM eras")?.integer("last") ?? 0
      let era = Era(number: try Era.checked(max(last, known) + 1), begun: try connection.now(), reason: reason)
      try connection.execute(
        "INSERT INTO eras (number, begun, reason) VALUES (\(era.number), \(era.begun), \(era.reason))")
      return era
    }
  }

  public func chains(
    of account: AccountID, prefix: [UInt8], after: ClientSeed?, limit: Int
  ) async throws -> [ChainReport] {
    let end: SQLStatement = ClientSeed.end(ofPrefix: prefix).map { "client_seed < \($0)" } ?? "true"
    return try await query { [seeds] connection in
      try connection.rows(
        """
        SELECT client_seed, era, epoch, server_hash, cursor, nonce, created FROM chains
        WHERE owner_id = \(account.rawValue) AND client_seed >= \(prefix) AND \(end)
          AND client_seed > \(after?.bytes ?? []) AND \(SQLStatement.exists(account))
        ORDER BY client_seed LIMIT \(limit)
        """
      ).map { row in
        let clientSeed = try ClientSeed(row.bytes("client_seed"))
        let next = seeds.nextDraw(
          of: ChainKey(owner: ChainOwner(account, .live), clientSeed: clientSeed), era: try row.integer("era"),
          epoch: try row.count("epoch"), serverHash: try ServerHash(bytes: row.bytes("server_hash")),
          cursor: try row.integer("cursor"), nonce: try row.integer("nonce"))
        return ChainReport(
          clientSeed: clientSeed, serverHash: next.serverHash, cursor: next.cursor, nonce: next.nonce,
          created: try row.integer("created"))
      }
    }
  }

  public func revealedOutcomes(of account: AccountID, after: Outcome?, limit: Int) async throws -> [Outcome] {
    try await query { [vault] connection in
      let dialect = connection.dialect
      return try connection.rows(
        """
        SELECT o.id AS outcome_id, \(dialect.outcomeColumns), \(dialect.commitmentColumns)
        FROM (
          SELECT chain_id, outcome_id, row_number() OVER place AS place, sum(bytes) OVER place - bytes AS before
          FROM (
            SELECT m.chain_id, m.outcome_id, m.client_seed, m.revealed, \(SQLStatement.outcomeBytes) AS bytes
            FROM commitments m JOIN outcomes o ON o.id = m.outcome_id
            WHERE m.owner_id = \(account.rawValue) AND m.revealed IS NOT NULL AND \(SQLStatement.exists(account))
              AND (m.client_seed, m.revealed, m.outcome_id)
                > (\(after?.clientSeed.bytes ?? []), \(after?.created ?? 0), \(after?.id ?? 0))
            ORDER BY m.client_seed, m.revealed, m.outcome_id LIMIT \(limit)) r
          WINDOW place AS (ORDER BY client_seed, revealed, outcome_id)) p
          JOIN commitments m ON m.owner_id = \(account.rawValue) AND m.chain_id = p.chain_id
          JOIN outcomes o ON o.id = p.outcome_id LEFT JOIN \(dialect.chainOfOutcome)
        WHERE p.before < \(OutcomePage.maximumBytes) ORDER BY p.place
        """
      ).map {
        var outcome = try Outcome(row: $0, mode: .live)
        outcome.commitment = try RevealedCommitment(row: $0, vault)
        return outcome
      }
    }
  }

  public func revealedSeeds(
    of account: AccountID, after: (clientSeed: ClientSeed, seed: RevealedSeed)?, limit: Int
  ) async throws -> [(clientSeed: ClientSeed, seed: RevealedSeed)] {
    try await query { connection in
      try connection.rows(
        """
        SELECT c.client_seed, c.owner_id, r.* FROM chains c JOIN revealed_seeds r ON \(connection.dialect.isChainOfSeed)
        WHERE c.owner_id = \(account.rawValue) AND \(SQLStatement.exists(account))
          AND c.client_seed >= \(after?.clientSeed.bytes ?? [])
          AND (c.client_seed, r.epoch) > (\(after?.clientSeed.bytes ?? []), \(after?.seed.epoch ?? -1))
        ORDER BY c.client_seed, r.epoch LIMIT \(limit)
        """
      ).map { row in
        let seed = RevealedSeed(
          chain: try row.integer("chain_id"), owner: ChainOwner(account, .live), era: try row.integer("era"),
          epoch: try row.count("epoch"), seed: try ServerSeed(hex: row.bytes("server_seed")),
          hash: try ServerHash(bytes: row.bytes("server_hash")), cursor: try row.integer("cursor"),
          nonce: try row.integer("nonce"), revealed: try row.integer("revealed"))
        return (try ClientSeed(row.bytes("client_seed")), seed)
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
