import GRDB

/// The file is an SQLite database, and another program's.
public struct ForeignDatabase: Error, Sendable, CustomStringConvertible {
  public var description: String {
    "it is another program's database: give Fairdraw a file of its own"
  }

  /// What tells Fairdraw's files from others, in SQLite's own place for it: "FDRW" in ASCII.
  private static let applicationID: Int64 = 0x4644_5257

  /// Looks before anything is written to the file.
  ///
  /// - Parameter more: what else is looked at, if the file is Fairdraw's or new.
  /// - Throws: ``ForeignDatabase``; GRDB's `DatabaseError` if the file is no database; what `more` throws.
  static func check(_ path: String, _ more: (Database) throws -> Void = { _ in }) throws {
    var configuration = Configuration()
    configuration.readonly = true
    configuration.busyMode = .patient
    do {
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      try queue.read { db in
        if try isForeign(db) { throw ForeignDatabase() }
        try more(db)
      }
      try queue.close()
    } catch let error as DatabaseError where error.resultCode == .SQLITE_CANTOPEN {
      // It is not there; or it will be said to be out of reach when it is opened for writing.
    }
  }

  private static func isForeign(_ db: Database) throws -> Bool {
    let mark = try Int64.fetchOne(db, sql: "PRAGMA application_id")
    guard mark == 0 else { return mark != applicationID }
    // Not marked: a file that is new, or was made before files were marked.
    let tables = Set(try String.fetchAll(db, sql: "SELECT name FROM sqlite_master WHERE type = 'table'"))
    return !tables.isSubset(of: ["grdb_migrations"]) && !tables.isSuperset(of: ours)
  }

  private static let ours: Set = ["grdb_migrations", "meta", "chains", "outcomes", "idempotency"]

  /// Marks the file as Fairdraw's, once.
  static func mark(_ db: Database) throws {
    guard try Int64.fetchOne(db, sql: "PRAGMA application_id") != applicationID else { return }
    try db.execute(sql: "PRAGMA application_id = \(applicationID)")
  }
}
