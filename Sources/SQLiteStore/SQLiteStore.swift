import Fairness
import Foundation
import GRDB
import GRDBSQLite
import Ledger
import SQLStore

/// The ledger in one SQLite file: a write-ahead log, one writer, readers beside it.
///
/// Whoever draws groups syncs the log beside the writing connection: see ``LogSync``. All others sync at each commit.
/// The file may be opened by the command line or `sqlite3` while a server runs.
public final class SQLiteStore: Sendable {
  let pool: DatabasePool
  let clock: @Sendable () -> Milliseconds
  public let vault: Vault
  public let seeds: ChainSeeds
  public let shortIDs: ShortIDs
  let file: DatabaseFile
  let log: LogSync
  let checkpoints: Checkpoints
  /// Belongs to the pool's writing connection and is touched only inside `pool.writeWithoutTransaction` and `pool.write`,
  /// which let one thread in at a time; that is what makes it safe here, where the compiler cannot see it.
  nonisolated(unsafe) let writer: SQLiteGroupWriter

  /// Opens the file, making or upgrading its tables as needed.
  ///
  /// - Parameters:
  ///   - path: the file; made if it is not there, in a folder that is.
  ///   - mayHaveMoved: whether to open a file whose ledger was moved elsewhere.
  ///   - checkpointPages: how many pages are in the write-ahead log when it is merged into the file: 32 MB.
  ///   - clock: the time; replaced in tests.
  ///   - onLoss: called when the disk has refused to write through what was written; by default the process ends with a
  ///     sentence, since nothing can be known any more of what the log holds. Whoever starts next recovers.
  /// - Throws: ``WrongMasterKey`` if the file's secrets were sealed under another key; ``LedgerHasMoved``;
  ///   ``ForeignDatabase``; `NewerDatabase`; GRDB's `DatabaseError` if the file cannot be opened.
  public init(
    path: String, masterKey: MasterKey, mayHaveMoved: Bool = false, checkpointPages: Int = 8_000,
    clock: @escaping @Sendable () -> Milliseconds = { Milliseconds(Date().timeIntervalSince1970 * 1000) },
    onLoss: @escaping @Sendable (StoreFailure) -> Void = SQLiteStore.endProcess
  ) throws {
    SQLiteLibrary.countsNoMemory
    self.clock = clock
    log = LogSync(onLoss: onLoss)
    vault = masterKey.vault
    shortIDs = ShortIDs(masterKey: masterKey)
    var configuration = Configuration()
    configuration.label = "fairdraw"
    configuration.maximumReaderCount = 4
    configuration.busyMode = .patient
    configuration.prepareDatabase { db in
      try db.execute(sql: "PRAGMA cache_size = -16000")
      // Some systems build SQLite so that it overwrites each page that is given back, which for the log's queue is as much
      // to write as the queue itself. What is deleted from pages that stay in use is overwritten all the same.
      try db.execute(sql: "PRAGMA secure_delete = FAST")
      db.add(function: .newestOutcome)
    }
    try ForeignDatabase.check(path) { db in
      // GRDB itself passes over migrations that it does not know.
      if try SQLiteSchema.migrator.hasBeenSuperseded(db) { throw NewerDatabase() }
    }
    pool = try DatabasePool(path: path, configuration: configuration)
    try SQLiteSchema.migrator.migrate(pool)
    try pool.writeWithoutTransaction { db in
      try ForeignDatabase.mark(db)
      // GRDB chooses NORMAL for a write-ahead log, which may lose the last commits when the power fails.
      try db.execute(sql: "PRAGMA synchronous = FULL")
      // The log grows for as long as a reader keeps it from being reused; afterwards it shrinks to this many bytes.
      try db.execute(sql: "PRAGMA journal_size_limit = \(64 << 20)")
    }
    try Self.check(masterKey, in: pool)
    if !mayHaveMoved { try pool.read { try LedgerHasMoved.check($0) } }
    let seeds = ChainSeeds(key: try masterKey.seedKey(), era: try pool.write { try SQLiteSchema.reachEra($0) })
    self.seeds = seeds
    let file = try DatabaseFile(path: path)
    self.file = file
    let loading = (vault: vault, seeds: seeds, shortIDs: shortIDs)
    checkpoints = Checkpoints(path: path, pages: checkpointPages)
    writer = try pool.writeWithoutTransaction { [log, checkpoints] db in
      let writer = try SQLiteGroupWriter(db, file: file, log: log, loading: loading, clock: clock)
      checkpoints.watch(writer.connection)
      return writer
    }
  }

  /// Nothing of this process has the file open afterwards.
  deinit { checkpoints.waitUntilIdle() }

  /// Ends the process with a sentence.
  public static func endProcess(_ failure: StoreFailure) {
    let sentence =
      "fairdraw: the server stops: \(failure.description). Draws that were answered are safe; start it again when the "
      + "disk is well\n"
    FileHandle.standardError.write(Data(sentence.utf8))
    _exit(EX_IOERR)
  }

  private static func check(_ masterKey: MasterKey, in pool: DatabasePool) throws {
    let fingerprint = Data(masterKey.fingerprint)
    let known = try pool.write { db in
      if let known = try Data.fetchOne(db, sql: "SELECT value FROM meta WHERE name = 'master-key'") { return known }
      try db.execute(sql: "INSERT INTO meta (name, value) VALUES ('master-key', ?)", arguments: [fingerprint])
      return fingerprint
    }
    guard known == fingerprint else { throw WrongMasterKey() }
  }

  /// Writes with the group writer's statements, which belong to the pool's writing connection.
  func write<Result>(_ body: (SQLiteGroupWriter) throws -> Result) throws(StoreFailure) -> Result {
    do {
      let result = try pool.writeWithoutTransaction { _ in try log.writing { try body(writer) } }
      try log.waitUntilDurable()
      return result
    } catch {
      throw StoreFailure(error)
    }
  }

  /// Has the group writer read anew what it remembers. Called where the pool writes, and only there.
  func forgetGroups() { writer.forget() }
}

/// The database's secrets were sealed under another master key.
public struct WrongMasterKey: Error, Sendable, CustomStringConvertible {
  public var description: String {
    "the database belongs to another master key: start the server with the key file it was made with"
  }
}
