import Accounts
import Fairness
import Ledger

// Outcomes that other services drew. They are in one table of their own, which no draw reads or writes.

extension SQLDatabase {
  public func importOutcomes(
    _ outcomes: [ImportedOutcome], for account: AccountID, isDryRun: Bool
  ) async throws -> [ImportResult] {
    try await transact(concernsGroups: false) { [shortIDs] connection in
      let found = try connection.run(
        outcomes.flatMap { outcome -> [SQLStatement] in
          let shortID = outcome.outcome.origin?.shortID ?? []
          let own = shortIDs.decode(shortID) ?? -1
          return [
            "SELECT * FROM imported_outcomes WHERE short_id = \(String(decoding: shortID, as: UTF8.self))",
            """
            SELECT EXISTS (SELECT 1 FROM outcomes WHERE id = \(own))
              OR EXISTS (SELECT 1 FROM test_outcomes WHERE id = \(own)) AS is_own
            """,
          ]
        })
      var there: [[UInt8]: (account: AccountID, outcome: ImportedOutcome)] = [:]
      for row in found.indices.filter({ $0 % 2 == 0 }).compactMap({ found[$0].rows.first }) {
        let outcome = try ImportedOutcome(row: row)
        there[outcome.outcome.origin?.shortID ?? []] = (AccountID(try row.integer("account_id")), outcome)
      }
      var changes: [SQLStatement] = []
      let results = try outcomes.enumerated().map { number, outcome -> ImportResult in
        let shortID = outcome.outcome.origin?.shortID ?? []
        if try found[2 * number + 1].rows.first?.flag("is_own") == true { return .taken }
        guard let known = there[shortID] else {
          changes.append(outcome.insertion(for: account))
          there[shortID] = (account, outcome)
          return .imported
        }
        guard known.account == account else { return .taken }
        if let member = outcome.difference(from: known.outcome) { return .differs(member) }
        guard outcome.completes(known.outcome) else { return .known }
        changes.append(outcome.completion)
        there[shortID] = (account, outcome)
        return .completed
      }
      if !isDryRun { _ = try connection.run(changes) }
      return results
    }
  }

  public func importedOutcomes(of account: AccountID, after: Int64?, limit: Int) async throws -> [Outcome] {
    try await query { connection in
      // Rows count up, and the numbers of their outcomes down.
      let first = after.map { -$0 } ?? 0
      return try connection.imported(
        "account_id = \(account.rawValue) AND id > \(first)", order: "id", limit: limit
      ).outcomes
    }
  }

  public func recordedOutcome(shortID text: [UInt8]) async throws(StoreFailure) -> RecordedOutcome? {
    if let id = shortIDs.decode(text), let own = try await recordedOutcome(id: id) { return own }
    guard OutcomeOrigin.isShortID(text) else { return nil }
    return try await read { connection in
      let row = try connection.row(
        "SELECT * FROM imported_outcomes WHERE short_id = \(String(decoding: text, as: UTF8.self))")
      return try row.map { row in
        let imported = try ImportedOutcome(row: row)
        return RecordedOutcome(outcome: imported.outcome, state: .imported(imported.serverSeed))
      }
    }
  }

  /// The newest outcome with these coordinates that was imported.
  func importedOutcome(
    of account: AccountID, clientSeed: ClientSeed, cursor: Int64, nonce: Int64
  ) async throws(StoreFailure) -> Outcome? {
    try await read { connection in
      try connection.row(
        """
        SELECT * FROM imported_outcomes
        WHERE account_id = \(account.rawValue) AND client_seed = \(clientSeed.bytes) AND cursor = \(cursor)
          AND nonce = \(nonce)
        ORDER BY created DESC, id DESC LIMIT 1
        """
      ).map { try ImportedOutcome(row: $0).outcome }
    }
  }
}

extension SQLConnection {
  /// Imported outcomes, so many, or fewer where they are large.
  ///
  /// - Parameter order: which no two rows share.
  func imported(_ condition: SQLStatement, order: SQLStatement, limit: Int) throws -> OutcomePage {
    let rows = try rows(
      """
      SELECT o.*, p.place < p.found AS has_more
      FROM (
        SELECT id, row_number() OVER listed AS place, sum(bytes) OVER listed - bytes AS before, count(*) OVER () AS found
        FROM (
          SELECT id, created, \(SQLStatement.outcomeBytes) AS bytes FROM imported_outcomes o
          WHERE \(condition) ORDER BY \(order) LIMIT \(min(limit, .max - 1) + 1)) o
        WINDOW listed AS (ORDER BY \(order))) p
      JOIN imported_outcomes o ON o.id = p.id
      WHERE p.place <= \(limit) AND p.before < \(OutcomePage.maximumBytes) ORDER BY p.place
      """)
    var page = OutcomePage(limit: limit)
    for row in rows { page.append(try ImportedOutcome(row: row).outcome) }
    page.hasMore = try rows.last?.flag("has_more") ?? false
    return page
  }
}

extension ImportedOutcome {
  /// From a row of `imported_outcomes`. The outcome's number is the row's, below zero.
  init(row: SQLRow) throws {
    let id = try row.integer("id")
    let damage = StoreFailure.damaged("imported outcome \(id) is damaged")
    guard id > 0, let endpoint = UInt8(exactly: try row.integer("endpoint")).flatMap(Endpoint.init(rawValue:)),
      let clientSeed = try? ClientSeed(try row.bytes("client_seed")),
      let serverHash = try? ServerHash(bytes: try row.bytes("server_hash"))
    else { throw damage }
    var outcome = Outcome(
      id: -id, chain: 0, mode: .live, clientSeed: clientSeed, serverHash: serverHash, epoch: 0,
      cursor: try row.integer("cursor"), nonce: try row.integer("nonce"), endpoint: endpoint,
      value: try row.bytes("value"), fields: try row.bytes("fields"), items: try row.optionalBytes("items"),
      created: try row.integer("created"))
    outcome.origin = OutcomeOrigin(
      shortID: Array(try row.text("short_id").utf8), permalink: try row.optionalText("permalink"),
      imported: try row.integer("imported"))
    var seed: ServerSeed?
    if let hex = try row.optionalBytes("server_seed") {
      guard let known = try? ServerSeed(hex: hex) else { throw damage }
      seed = known
    }
    self.init(outcome, serverSeed: seed)
  }

  fileprivate func insertion(for account: AccountID) -> SQLStatement {
    """
    INSERT INTO imported_outcomes (account_id, short_id, client_seed, server_hash, cursor, nonce, endpoint, value, fields,
      items, server_seed, created, permalink, imported)
    VALUES (\(account.rawValue), \(String(decoding: outcome.origin?.shortID ?? [], as: UTF8.self)),
      \(outcome.clientSeed.bytes), \(outcome.serverHash.bytes), \(outcome.cursor), \(outcome.nonce),
      \(Int64(outcome.endpoint.rawValue)), \(outcome.value), \(outcome.fields), \(outcome.items),
      \(serverSeed?.ascii), \(outcome.created), \(outcome.origin?.permalink), \(outcome.origin?.imported))
    """
  }

  /// Adds what was not known before.
  fileprivate var completion: SQLStatement {
    """
    UPDATE imported_outcomes SET server_seed = coalesce(\(serverSeed?.ascii), server_seed), value = \(outcome.value),
      fields = \(outcome.fields), items = coalesce(\(outcome.items), items)
    WHERE short_id = \(String(decoding: outcome.origin?.shortID ?? [], as: UTF8.self))
    """
  }
}
