import Fairness
import Foundation
import GRDB
import GRDBSQLite
import Ledger
import SQLStore
import Synchronization

/// A day's leaves, sorted by SQLite into temporary tables of a connection of its own, so that sorting takes a bounded amount
/// of memory and holds up neither readers nor the writer. What is to last goes through the store's writing connection: a
/// write by another one would make the group writer forget what it remembers.
final class SQLiteDayDraft: SQLDayDraft {
  let store: SQLiteStore
  let day: Day
  private let scratch: DatabaseQueue
  private let progress = Mutex(Progress())

  private struct Progress {
    var isGathered = false
    var leaves: Int64 = 0
    var arePlacesSorted = false
    /// The outcome whose place was kept last.
    var lastPlaced: Int64 = 0
  }

  /// So many places are kept in one transaction.
  private static let placesAtOnce = 4000

  init(store: SQLiteStore, day: Day) throws {
    self.store = store
    self.day = day
    var configuration = Configuration()
    configuration.label = "fairdraw-log"
    configuration.busyMode = .patient
    let shortIDs = store.shortIDs
    configuration.prepareDatabase { db in
      try db.execute(sql: "PRAGMA temp_store = FILE; PRAGMA cache_size = -16000; PRAGMA temp.journal_mode = OFF")
      db.add(
        function: DatabaseFunction("short_id", argumentCount: 1, pure: true) { values in
          Int64.fromDatabaseValue(values[0]).flatMap {
            ShortIDs.numbers.contains($0) ? Data(shortIDs.encode($0)) : nil
          }
        })
    }
    scratch = try DatabaseQueue(path: store.pool.path, configuration: configuration)
  }

  func nextLeaves(limit: Int) throws(StoreFailure) -> [LogLeaf] {
    try store.failing {
      let first = try progress.withLock { progress in
        if !progress.isGathered { try gather() }
        progress.isGathered = true
        defer { progress.leaves += Int64(limit) }
        return progress.leaves
      }
      let leaves = try scratch.inDatabase { db in
        try SQLiteStatement(
          connection(db),
          """
          SELECT outcome_id, client_seed, cursor, nonce, created, server_hash FROM temp.leaves
          WHERE place > ? AND place <= ? ORDER BY place
          """
        ).all({ $0.bind(first, first + Int64(limit)) }, read: { try LogLeaf($0) })
      }
      if let stray = leaves.first(where: { Day(of: $0.created) != day }) {
        throw StoreFailure.damaged(
          "the times of outcomes do not rise with their ids: \(stray.created) stands within \(day)")
      }
      return leaves
    }
  }

  /// Sorts the day's outcomes into a table whose rows are numbered from 1.
  private func gather() throws {
    try scratch.inDatabase { db in
      // A place that has no chain or hash to go with it is refused by NOT NULL.
      try db.execute(
        sql: """
          CREATE TEMP TABLE leaves (
            place INTEGER PRIMARY KEY, outcome_id INTEGER NOT NULL, client_seed BLOB NOT NULL, cursor INTEGER NOT NULL,
            nonce INTEGER NOT NULL, created INTEGER NOT NULL, server_hash BLOB NOT NULL
          )
          """)
      let connection = SQLiteConnection(db: db, clock: store.clock)
      guard let first = try connection.firstOutcome(since: day.start) else { return }
      let end = try connection.firstOutcome(since: day.end) ?? .max
      try connection.execute(
        """
        INSERT INTO temp.leaves (outcome_id, client_seed, cursor, nonce, created, server_hash)
        SELECT \(connection.dialect.leafColumns) FROM outcomes o LEFT JOIN \(connection.dialect.chainOfOutcome)
        WHERE o.id >= \(first) AND o.id < \(end) ORDER BY c.client_seed, o.cursor, o.nonce, short_id(o.id)
        """)
    }
  }

  func keepPlaces() throws(StoreFailure) -> Bool {
    // In the order of the ids: the table then grows at its end, where the order of the tree would touch every page of it
    // in every transaction.
    let places = try store.failing {
      try progress.withLock { progress in
        if !progress.arePlacesSorted {
          try scratch.inDatabase { db in
            try db.execute(
              sql: """
                CREATE TEMP TABLE places (outcome_id INTEGER PRIMARY KEY, leaf INTEGER NOT NULL);
                INSERT INTO temp.places SELECT outcome_id, place - 1 FROM temp.leaves ORDER BY outcome_id;
                """)
          }
          progress.arePlacesSorted = true
        }
        let places = try scratch.inDatabase { db in
          try SQLiteStatement(
            connection(db), "SELECT outcome_id, leaf FROM temp.places WHERE outcome_id > ? ORDER BY outcome_id LIMIT ?"
          ).all {
            $0.bind(progress.lastPlaced, Self.placesAtOnce)
          } read: {
            (outcome: $0.integer(0), leaf: $0.integer(1))
          }
        }
        if let last = places.last { progress.lastPlaced = last.outcome }
        return places
      }
    }
    guard !places.isEmpty else { return false }
    try store.writeLog { connection in
      let insert = try SQLiteStatement(
        connection,
        """
        INSERT INTO merkle_leaves (outcome_id, leaf)
        SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM merkle_days WHERE day = ? AND published IS NOT NULL)
        ON CONFLICT DO UPDATE SET leaf = excluded.leaf
        """)
      for place in places { try insert.run { $0.bind(place.outcome, place.leaf, day.number) } }
    }
    return places.count == Self.placesAtOnce
  }

  func interrupt() { scratch.interrupt() }

  private func connection(_ db: Database) throws -> OpaquePointer {
    guard let connection = db.sqliteConnection else { throw StoreFailure("the database is closed") }
    return connection
  }
}
