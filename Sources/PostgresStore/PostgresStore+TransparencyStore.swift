import Fairness
import Ledger
import SQLStore

// Servers take their numbers in blocks, so outcomes are not numbered in the order of time, as they are in other databases:
// here the outcomes of a day are found by the runs they are in.
extension PostgresStore {
  public func nextDay() throws(StoreFailure) -> Day? {
    try transactBlocking {
      let next = try $0.row(
        """
        SELECT coalesce((SELECT max(day) + 1 FROM merkle_days WHERE published IS NOT NULL),
          (SELECT min(created) / 86400000 FROM outcome_runs)) AS day
        """)
      return try next?.optionalInteger("day").map { Day(number: $0) }
    }
  }

  public func openDay(_ day: Day) throws -> any DayDraft {
    do {
      try caring.withSession { session in
        try session.transaction { connection in
          let results = try connection.run([Query(.holdLog), Query(.sealingTime) { $0.bind(self.clock?()) }])
          guard results[1].integer(0, 0) >= day.end else { throw DayNotOver(day) }
          try connection.run([Query(.seal) { $0.bind(day.number) }])
        }
      }
      return try PostgresDayDraft(store: self, day: day)
    } catch let error as DayNotOver {
      throw error
    } catch {
      throw StoreFailure(error)
    }
  }

  public func leaves(
    of account: AccountID, on day: Day, after: Int64?
  ) async throws(StoreFailure) -> (leaves: [PlacedLeaf], next: Int64?) {
    try await read { connection in
      guard try connection.publishedDay(day) != nil else { return ([], nil) }
      // So many outcomes are looked at in one go, whosever they are.
      let limit = 10_000
      let dialect = connection.dialect
      let rows = try connection.rows(
        """
        WITH seen AS MATERIALIZED (
          SELECT o.id, o.created FROM \(SQLStatement.outcomesByTime)
          WHERE u.created >= greatest(\(day.start), (SELECT created FROM outcomes WHERE id = \(after)))
            AND u.created < \(day.end)
            AND (u.created, o.id) > (coalesce((SELECT created FROM outcomes WHERE id = \(after)), 0), \(after ?? 0))
          ORDER BY u.created, o.id LIMIT \(limit)),
        own AS (
          SELECT \(dialect.leafColumns), l.leaf
          FROM seen s JOIN outcomes o ON o.id = s.id LEFT JOIN \(dialect.chainOfOutcome)
            JOIN merkle_leaves l ON l.outcome_id = s.id
          WHERE \(dialect.isChain(of: ChainOwner(account, .live))))
        SELECT a.*, own.*
        FROM (SELECT count(*) AS seen, (SELECT id FROM seen ORDER BY created DESC, id DESC LIMIT 1) AS last FROM seen) a
          LEFT JOIN own ON true
        ORDER BY own.created, own.id
        """)
      let leaves = try rows.filter { try $0.optionalInteger("leaf") != nil }.map(PlacedLeaf.init(row:))
      let goesOn = try rows.first?.count("seen") == limit
      return (leaves, goesOn ? try rows.first?.optionalInteger("last") : nil)
    }
  }
}

extension SQLStatement {
  /// Outcomes `o` by the times of the runs `u` they are in, run by run: OFFSET keeps the planner, which cannot know how few
  /// are between two numbers, from reading the whole table instead.
  static let outcomesByTime: SQLStatement = """
    outcome_runs u CROSS JOIN LATERAL (
      SELECT * FROM outcomes WHERE id BETWEEN u.first AND u.last AND created = u.created OFFSET 0) o
    """
}

extension PostgresStatement {
  fileprivate static let sealingTime: PostgresStatement = "SELECT coalesce($1::bigint, \(now))"

  fileprivate static let seal: PostgresStatement =
    "INSERT INTO merkle_days (day) VALUES ($1::bigint) ON CONFLICT (day) DO NOTHING"
}
