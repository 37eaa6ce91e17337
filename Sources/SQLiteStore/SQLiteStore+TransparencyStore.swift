import Fairness
import GRDBSQLite
import Ledger
import SQLStore

// Outcomes are numbered in the order of time here, which other databases do not see to: so the outcomes of a day are found
// by their numbers.
extension SQLiteStore {
  public func nextDay() throws(StoreFailure) -> Day? {
    try queryBlocking { connection in
      let next = try connection.row(
        """
        SELECT coalesce((SELECT max(day) + 1 FROM merkle_days WHERE published IS NOT NULL),
          (SELECT created / 86400000 FROM outcomes ORDER BY id LIMIT 1)) AS day
        """)
      return try next?.optionalInteger("day").map { Day(number: $0) }
    }
  }

  public func openDay(_ day: Day) throws -> any DayDraft {
    try pool.writeWithoutTransaction { _ in try log.writing { try writer.seal(day) } }
    try log.waitUntilDurable()
    return try SQLiteDayDraft(store: self, day: day)
  }

  public func leaves(
    of account: AccountID, on day: Day, after: Int64?
  ) async throws(StoreFailure) -> (leaves: [PlacedLeaf], next: Int64?) {
    try await read { connection in
      guard try connection.publishedDay(day) != nil else { return ([], nil) }
      let after = try after ?? connection.firstOutcome(since: day.start).map { $0 - 1 }
      // So many rows are looked at in one go, whosever they are.
      let last = try after.flatMap {
        try connection.row(
          "SELECT max(id) AS last FROM (SELECT id FROM outcomes WHERE id > \($0) ORDER BY id LIMIT 10000)")?
          .optionalInteger("last")
      }
      guard let after, let last else { return ([], nil) }
      let dialect = connection.dialect
      let leaves = try connection.rows(
        """
        SELECT \(dialect.leafColumns), l.leaf
        FROM outcomes o LEFT JOIN \(dialect.chainOfOutcome) JOIN merkle_leaves l ON l.outcome_id = o.id
        WHERE o.id > \(after) AND o.id <= \(last) AND o.created >= \(day.start) AND o.created < \(day.end)
          AND \(dialect.isChain(of: ChainOwner(account, .live)))
        ORDER BY o.id
        """
      ).map(PlacedLeaf.init(row:))
      let end = try connection.row("SELECT created FROM outcomes WHERE id = \(last)")?.integer("created") ?? .max
      return (leaves, end < day.end ? last : nil)
    }
  }

  /// Writes in one transaction, with the writing connection's own statements. What the group writer remembers does not
  /// change under it.
  func writeLog<Result>(_ body: (OpaquePointer) throws -> Result) throws(StoreFailure) -> Result {
    try write { writer in try writer.transaction { try body(writer.connection) } }
  }
}

extension SQLConnection {
  /// The first outcome drawn at `moment` or later; nil if there is none.
  ///
  /// Found by halving, since `created` never falls as ids grow: ``SQLiteGroupWriter`` sees to that. An index on `created` would
  /// cost every draw something.
  func firstOutcome(since moment: Milliseconds) throws -> Int64? {
    guard let last = try row("SELECT max(id) AS last FROM outcomes")?.optionalInteger("last") else { return nil }
    guard ShortIDs.numbers.contains(last) else { throw StoreFailure.damaged("outcome \(last) has no number there is") }
    var low: Int64 = 1
    var high = last + 1  // what is sought is in low...high
    while low < high {
      let middle = low + (high - low) / 2
      guard let row = try row("SELECT id, created FROM outcomes WHERE id >= \(middle) ORDER BY id LIMIT 1") else {
        high = middle
        continue
      }
      if try row.integer("created") >= moment { high = middle } else { low = try row.integer("id") + 1 }
    }
    return low > last ? nil : low
  }
}
