import Foundation
import GRDB
import Ledger
import SQLStore

extension SQLiteStore {
  /// Lets `body` read the whole ledger as it is at one moment, and then closes the file for good: see
  /// ``LedgerHasMoved``. Nobody can write until it returns, nor afterwards, a server that has the file open included.
  ///
  /// If `body` throws, the file is as it was.
  ///
  /// - Parameter place: where the ledger lives from now on, for whoever opens the file.
  public func moveAway<Result>(to place: String, _ body: (SQLiteExport) throws -> Result) throws -> Result {
    try pool.writeWithoutTransaction { db in
      var result: Result?
      try db.inTransaction(.immediate) {
        result = try body(SQLiteExport(db: db))
        try LedgerHasMoved.mark(db, place)
        return .commit
      }
      guard let result else { throw StoreFailure("the database could not be read") }
      return result
    }
  }
}

/// The file's ledger lives elsewhere now. Drawing from both would give out the same randomness twice.
public struct LedgerHasMoved: Error, Sendable, CustomStringConvertible {
  public let place: String
  public var description: String { "its ledger was moved to \(place): use that with --database" }

  /// Beside the mark, triggers keep those from drawing that have the file open.
  fileprivate static func mark(_ db: Database, _ place: String) throws {
    try db.execute(
      sql: "INSERT OR REPLACE INTO meta (name, value) VALUES ('moved', ?)", arguments: [Data(place.utf8)])
    for (name, action) in [
      ("chain", "INSERT ON chains"), ("draw", "UPDATE ON chains"), ("outcome", "INSERT ON outcomes"),
    ] {
      try db.execute(
        sql: """
          CREATE TRIGGER IF NOT EXISTS moved_\(name) BEFORE \(action)
          BEGIN SELECT raise(ABORT, 'the ledger was moved into another database'); END
          """)
    }
  }

  static func check(_ db: Database) throws {
    let place = try Data.fetchOne(db, sql: "SELECT value FROM meta WHERE name = 'moved'")
    if let place { throw LedgerHasMoved(place: String(decoding: place, as: UTF8.self)) }
  }
}

extension DatabaseFunction {
  /// The row of a chain's newest outcome, by the chain's trail. Every connection has it.
  static let newestOutcome = DatabaseFunction("newest_outcome", argumentCount: 1, pure: true) { arguments in
    Data.fromDatabaseValue(arguments[0]).flatMap { OutcomeTrail(Array($0)) }?.newest
  }
}

/// A ledger being read from end to end.
public struct SQLiteExport {
  let db: Database

  public func count(_ table: LedgerTable) throws -> Int {
    try Int.fetchOne(db, sql: "SELECT count(*) FROM \(table.name)") ?? 0
  }

  /// Hands the rows of a table to `body`, in the table's order, all but the first `skipping`, so many at a time, or fewer
  /// where they are large.
  public func rows(
    of table: LedgerTable, skipping: Int, atOnce: Int, _ body: ([[SQLValue]]) throws -> Void
  ) throws {
    let columns = table.columns.map { Self.expression($0.name, in: table.name) }.joined(separator: ", ")
    let cursor = try Row.fetchCursor(
      db,
      sql: """
        SELECT \(columns) FROM \(table.name) t ORDER BY \(table.order.map { "t." + $0 }.joined(separator: ", "))
        LIMIT -1 OFFSET ?
        """,
      arguments: [skipping])
    var batch: [[SQLValue]] = []
    var bytes = 0
    while let row = try cursor.next() {
      let values = try row.databaseValues.map(SQLValue.init)
      batch.append(values)
      bytes += values.reduce(0) { $0 + $1.size }
      if batch.count == atOnce || bytes >= 8 << 20 {
        try body(batch)
        batch.removeAll(keepingCapacity: true)
        bytes = 0
      }
    }
    if !batch.isEmpty { try body(batch) }
  }

  /// Where SQLite's tables lack a column, what it would say.
  private static func expression(_ column: String, in table: String) -> String {
    switch (table, column) {
    case ("outcomes", "owner_id"), ("revealed_seeds", "owner_id"):
      "(SELECT c.owner_id FROM chains c WHERE c.id = t.chain_id)"
    case ("chains", "moved"):
      """
      max(t.created, coalesce((SELECT o.created FROM outcomes o WHERE o.id = newest_outcome(t.trail)), 0))
      """
    default: "t." + column
    }
  }
}
