import Fairness
import Foundation
import GRDB
import Ledger
import SQLStore

/// A copy of a ledger's file.
public enum SQLiteCopy {
  /// Writes one consistent, compact copy of the moment at which it begins. Others may use the file meanwhile.
  ///
  /// - Parameters:
  ///   - checks: whether the file's pages are checked first.
  ///   - progress: called now and then with the bytes written and, about, those there will be.
  /// - Throws: ``ForeignDatabase``, ``DamagedFile``; GRDB's `DatabaseError`.
  public static func make(
    of file: URL, at copy: URL, checks: Bool, progress: @escaping @Sendable (Int, Int) -> Void
  ) throws {
    do {
      try makeUnchecked(of: file, at: copy, checks: checks, progress: progress)
    } catch let error as DatabaseError where [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode) {
      throw DamagedFile(found: [error.message ?? "it is no database"])
    }
  }

  private static func makeUnchecked(
    of file: URL, at copy: URL, checks: Bool, progress: @escaping @Sendable (Int, Int) -> Void
  ) throws {
    try ForeignDatabase.check(file.path)
    let queue = try DatabaseQueue(path: file.path, configuration: readOnly)
    defer { close(queue) }
    let total = try queue.read { db in
      if checks {
        let found = try String.fetchAll(db, sql: "PRAGMA quick_check(3)")
        guard found == ["ok"] else { throw DamagedFile(found: found) }
      }
      return try Int.fetchOne(
        db, sql: "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()") ?? 0
    }
    let timer = DispatchSource.makeTimerSource()
    timer.schedule(deadline: .now(), repeating: 0.2)
    timer.setEventHandler {
      // The file is not there yet, or not any more.
      let written = try? FileManager.default.attributesOfItem(atPath: copy.path)[.size] as? Int
      progress(written ?? 0, total)
    }
    timer.activate()
    defer { timer.cancel() }
    try queue.writeWithoutTransaction { try $0.execute(sql: "VACUUM INTO ?", arguments: [copy.path]) }
  }

  /// The newest era that a file knows of.
  public static func newestEra(in file: URL) throws -> Int64 {
    let queue = try DatabaseQueue(path: file.path, configuration: readOnly)
    defer { close(queue) }
    return try queue.read { try SQLiteSchema.era($0) }
  }

  /// What `later` has that `earlier`, an older copy of it, has not.
  public static func loss(from later: URL, to earlier: URL) throws -> LedgerLoss {
    let queue = try DatabaseQueue(path: earlier.path, configuration: readOnly)
    defer { close(queue) }
    return try queue.writeWithoutTransaction { db in
      try db.execute(sql: "ATTACH DATABASE ? AS later", arguments: [later.path])
      return try LedgerLoss(db)
    }
  }

  private static var readOnly: Configuration {
    var configuration = Configuration()
    configuration.readonly = true
    configuration.busyMode = .patient
    return configuration
  }

  /// Nothing was written, so nothing is lost if it stays open.
  private static func close(_ queue: DatabaseQueue) { do { try queue.close() } catch {} }
}

/// A file whose pages are not what SQLite wrote.
public struct DamagedFile: Error, Sendable, CustomStringConvertible {
  let found: [String]
  public var description: String { "it is damaged: \(found.joined(separator: "; "))" }
}

/// What a ledger loses when an older copy takes its place.
public struct LedgerLoss: Sendable {
  public let outcomes: Int
  /// When the last of them was drawn.
  public let lastDrawn: Milliseconds?
  public let rotations: Int
  /// Names of accounts that are unknown again, are back again, and have their earlier email address or password again.
  public let accountsCreated, accountsDeleted, signInsChanged: [String]
  /// Prefixes of keys that are unknown again, and work again.
  public let keysCreated, keysRevoked: [String]
  /// Published days, with their roots; nil for a day without outcomes.
  public let days: [(day: Day, root: MerkleHash?)]

  fileprivate init(_ db: Database) throws {
    let drawn = try Row.fetchOne(
      db,
      sql: """
        SELECT count(*), max(created) FROM later.outcomes WHERE id > (SELECT coalesce(max(id), 0) FROM main.outcomes)
        """)
    outcomes = drawn?[0] ?? 0
    lastDrawn = drawn?[1]
    rotations =
      try Int.fetchOne(
        db,
        sql: """
          SELECT count(*) FROM later.revealed_seeds s JOIN later.chains c ON c.id = s.chain_id AND c.owner_id >= 0
          WHERE NOT EXISTS (SELECT 1 FROM main.revealed_seeds r WHERE r.chain_id = s.chain_id AND r.epoch = s.epoch)
          """) ?? 0
    func names(_ sql: String) throws -> [String] { try String.fetchAll(db, sql: sql) }
    accountsCreated = try names(
      "SELECT name FROM later.accounts WHERE deleted IS NULL AND id NOT IN (SELECT id FROM main.accounts) ORDER BY id")
    accountsDeleted = try names(
      """
      SELECT m.name FROM main.accounts m JOIN later.accounts l USING (id)
      WHERE m.deleted IS NULL AND l.deleted IS NOT NULL ORDER BY m.id
      """)
    signInsChanged = try names(
      """
      SELECT a.name FROM main.sign_ins m JOIN main.accounts a ON a.id = m.account_id
      JOIN later.sign_ins l ON l.account_id = m.account_id
      WHERE (l.email, l.password) <> (m.email, m.password) ORDER BY a.id
      """)
    keysCreated = try names(
      """
      SELECT prefix FROM later.api_keys WHERE revoked IS NULL AND id NOT IN (SELECT id FROM main.api_keys) ORDER BY id
      """)
    keysRevoked = try names(
      """
      SELECT m.prefix FROM main.api_keys m JOIN later.api_keys l USING (id)
      WHERE m.revoked IS NULL AND l.revoked IS NOT NULL ORDER BY m.id
      """)
    days = try Row.fetchAll(
      db,
      sql: """
        SELECT day, root FROM later.merkle_days WHERE published IS NOT NULL
          AND day NOT IN (SELECT day FROM main.merkle_days WHERE published IS NOT NULL) ORDER BY day
        """
    ).map { (Day(number: $0[0]), try ($0[1] as Data?).map { try MerkleHash(bytes: Array($0)) }) }
  }
}

extension SQLiteStore {
  /// Puts everything into the one file, so that it can be renamed. Nothing may be written afterwards.
  public func finish() throws {
    checkpoints.waitUntilIdle()
    try pool.writeWithoutTransaction { db in
      let busy = try Int.fetchOne(db, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
      guard busy == 0 else { throw StoreFailure("another program uses the file") }
    }
  }

  /// Takes a file out of use: whatever its write-ahead log has is in the file itself afterwards.
  ///
  /// - Throws: a ``StoreFailure`` if another process has it open; GRDB's `DatabaseError` if it is damaged.
  public static func retire(_ file: URL) throws {
    let queue = try DatabaseQueue(path: file.path)
    do {
      try queue.writeWithoutTransaction { db in
        guard try String.fetchOne(db, sql: "PRAGMA journal_mode = DELETE") == "delete" else {
          throw DatabaseError(resultCode: .SQLITE_BUSY)
        }
      }
    } catch let error as DatabaseError where [.SQLITE_BUSY, .SQLITE_LOCKED].contains(error.resultCode) {
      throw StoreFailure("another process has \(file.path) open", kind: .passing)
    }
    try queue.close()
  }
}
