import Fairness
import Ledger

extension SQLDatabase {
  public func outcomes(
    of caller: Caller, _ side: OutcomeSide, endpoint: Endpoint?, limit: Int
  ) async throws(StoreFailure) -> AccountOutcomePage {
    try await read { [vault] connection in
      // With an endpoint, a run may have nothing that is asked for.
      let span = try connection.span(of: caller.chainOwner, side, runs: endpoint == nil ? limit : 1000)
      var found = AccountOutcomePage(page: OutcomePage(limit: limit), older: span.older, newer: span.newer)
      found.page.hasMore = span.hasMore
      guard span.older < span.newer else { return found }
      let rows = try connection.rows(
        span.outcomes(of: caller, endpoint: endpoint, limit: limit, in: connection.dialect))
      for row in rows {
        var outcome = try Outcome(row: row, mode: caller.mode)
        if try row.optionalBytes("commit_id") != nil { outcome.commitment = try RevealedCommitment(row: row, vault) }
        found.page.append(outcome)
      }
      // What ends a page before its span is its limit, or its size.
      if let last = rows.last, try last.flag("has_more") {
        let run = try last.integer("run")
        let passed = try last.integer("passed")
        found.page.hasMore = true
        if span.isForward {
          found.newer = OutcomePlace(run: run, passed: passed + 1)
        } else {
          found.older = OutcomePlace(run: run, passed: passed)
        }
      }
      return found
    }
  }
}

/// The part of an account's list that a page is looked for in.
private struct OutcomeSpan {
  private(set) var older, newer: OutcomePlace
  let isForward: Bool
  /// Whether the list goes on behind it.
  private(set) var hasMore: Bool

  /// - Parameters:
  ///   - side: what is asked for.
  ///   - runs: the runs on that side, from the place on, one more than may be in the span.
  ///   - most: how many runs may be.
  init(_ side: OutcomeSide, _ runs: [(number: Int64, run: AccountRun)], most: Int) {
    var left = AccountOutcomePage.maximumNumbers
    hasMore = runs.count > most
    switch side {
    case .after(let place):
      (older, newer, isForward) = (place, place, true)
      for (number, run) in runs.prefix(most) {
        let passed = number == place.run ? min(place.passed, run.count) : 0
        newer = OutcomePlace(run: number, passed: passed + min(left, run.count - passed))
        left -= newer.passed - passed
        guard newer.passed == run.count else {
          hasMore = true
          return
        }
      }
    case .before(let place):
      (older, newer, isForward) = (place, place, false)
      if place == .end { newer = runs.first.map { OutcomePlace(run: $0.number, passed: $0.run.count) } ?? .start }
      older = newer
      for (number, run) in runs.prefix(most) {
        let passed = number == newer.run ? min(newer.passed, run.count) : run.count
        older = OutcomePlace(run: number, passed: passed - min(left, passed))
        left -= passed - older.passed
        guard older.passed == 0 else {
          hasMore = true
          return
        }
      }
    }
  }

  /// Its outcomes, as many as a page takes. They are first found without their values, which may be long.
  func outcomes(of caller: Caller, endpoint: Endpoint?, limit: Int, in dialect: Dialect) -> SQLStatement {
    let owner = caller.chainOwner.rawValue
    let order: SQLStatement = isForward ? "" : " DESC"
    let (table, chain, commitment, mine): (SQLStatement, SQLStatement, SQLStatement, SQLStatement) =
      caller.mode == .live
      ? (
        "outcomes", "JOIN \(dialect.chainOfOutcome)", "m.chain_id = o.chain_id",
        "(c.owner_id = \(owner) OR c.owner_id < 0 AND m.revealed IS NOT NULL)"
      )
      : (
        "test_outcomes", "",
        "m.client_seed = o.client_seed AND m.revealed IS NOT NULL AND m.revealed = o.created AND m.outcome_id = o.id",
        "o.account_id = \(caller.account.rawValue)"
      )
    let joined: SQLStatement = """
      \(table) o ON o.id BETWEEN r.first + CASE r.number WHEN \(older.run) THEN \(older.passed) ELSE 0 END
          AND CASE r.number WHEN \(newer.run) THEN r.first + \(newer.passed) - 1 ELSE r.last END
        \(chain)
        LEFT JOIN commitments m ON m.owner_id = \(owner) AND \(commitment)
      """
    let columns = caller.mode == .live ? dialect.outcomeColumns : SQLStatement.testOutcomeColumns
    let kind: SQLStatement = endpoint.map { "AND o.endpoint = \(Int($0.rawValue))" } ?? ""
    return """
      SELECT p.run, p.passed, p.place < p.found AS has_more, o.id AS outcome_id, \(columns), \(dialect.commitmentColumns)
      FROM (
        SELECT run, passed, row_number() OVER listed AS place, sum(bytes) OVER listed - bytes AS before,
          count(*) OVER () AS found
        FROM (
          SELECT r.number AS run, o.id - r.first AS passed, \(SQLStatement.outcomeBytes) AS bytes
          FROM account_runs r JOIN \(joined)
          WHERE r.owner_id = \(owner) AND r.number BETWEEN \(older.run) AND \(newer.run) AND \(mine) \(kind)
          ORDER BY r.number\(order), o.id\(order) LIMIT \(limit + 1)) l
        WINDOW listed AS (ORDER BY run\(order), passed\(order))) p
        JOIN account_runs r ON r.owner_id = \(owner) AND r.number = p.run
        JOIN \(joined)
      WHERE o.id = r.first + p.passed AND p.place <= \(limit) AND p.before < \(OutcomePage.maximumBytes) ORDER BY p.place
      """
  }
}

extension AccountRun {
  /// How many row numbers it spans.
  fileprivate var count: Int64 { last - first + 1 }
}

extension SQLConnection {
  fileprivate func span(of owner: ChainOwner, _ side: OutcomeSide, runs most: Int) throws -> OutcomeSpan {
    let (which, order): (SQLStatement, SQLStatement) =
      switch side {
      case .after(let place): ("number >= \(place.run)", "number")
      case .before(let place): ("number <= \(place.run)", "number DESC")
      }
    // A run that the place is at the edge of, one that may be in the span, and so on, and one behind it.
    let runs = try rows(
      """
      SELECT number, first, last FROM account_runs WHERE owner_id = \(owner.rawValue) AND \(which)
      ORDER BY \(order) LIMIT \(most + 2)
      """
    ).map { row in
      (
        number: try row.integer("number"),
        run: AccountRun(first: try row.integer("first"), last: try row.integer("last"))
      )
    }
    return OutcomeSpan(side, runs, most: most + 1)
  }
}

extension Dialect {
  /// Lists what was recorded before there were lists: row numbers that follow each other, of an account's outcomes and of
  /// one time, as a run. It is for a migration.
  package var listRecordedOutcomes: SQLStatement {
    """
    INSERT INTO account_runs (owner_id, number, first, last)
    SELECT owner_id, created * 16384 + row_number() OVER (PARTITION BY owner_id, created ORDER BY first) - 1, first, last
    FROM (
      SELECT owner_id, created, min(id) AS first, max(id) AS last
      FROM (
        SELECT owner_id, created, id, row_number() OVER (PARTITION BY owner_id ORDER BY id)
          - row_number() OVER (PARTITION BY owner_id, created ORDER BY id) AS island
        FROM (
          SELECT c.owner_id, o.created, o.id FROM outcomes o JOIN \(chainOfOutcome) WHERE c.owner_id > 0
          UNION ALL
          SELECT m.owner_id, o.created, o.id FROM commitments m JOIN outcomes o ON o.id = m.outcome_id
          WHERE m.owner_id > 0
          UNION ALL
          SELECT -account_id, created, id FROM test_outcomes) o) o
      GROUP BY owner_id, created, island) r
    """
  }
}
