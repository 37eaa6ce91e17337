import Foundation
import GRDBSQLite
import Ledger

/// Writes the write-ahead log through to the disk, beside the connection that goes on writing it.
///
/// With `synchronous = NORMAL` a commit is in the log and not yet on the disk. So every write is numbered: it has
/// `begun` before it can be seen, is `written` when it is in the log, and `durable` when a sync has ended that began
/// after that. Whoever needs a number to be durable waits in ``waitUntilDurable()``; the first of those who wait syncs
/// for all. A sync covers the whole log, and so whatever other processes have put there before.
final class LogSync: @unchecked Sendable {
  // `begun`, `written`, `durable`, `isSyncing`, `file` and `failure` are only touched while `condition` is locked.
  private let condition = NSCondition()
  private var begun = 0
  private var written = 0
  private var durable = 0
  private var isSyncing = false
  private var failure: StoreFailure?
  private var file: UnsafeMutablePointer<sqlite3_file>?
  private let waiting = DispatchQueue(label: "fairdraw-durable")
  private let onLoss: @Sendable (StoreFailure) -> Void

  /// Whether commits leave it to this to reach the disk; else each commit syncs by itself.
  private var overlaps = false

  /// - Parameter onLoss: called when a sync has failed: what is in the log is no longer known then.
  init(onLoss: @escaping @Sendable (StoreFailure) -> Void) { self.onLoss = onLoss }

  /// Takes the log of a connection, which stays open for as long as this is used.
  func open(_ connection: OpaquePointer) throws(StoreFailure) {
    var file: UnsafeMutablePointer<sqlite3_file>?
    guard sqlite3_file_control(connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) == SQLITE_OK, let file,
      file.pointee.pMethods != nil
    else { throw StoreFailure("the write-ahead log is not open", kind: .permanent) }
    condition.withLock { self.file = file }
  }

  /// From now on commits do not sync.
  func overlap() { condition.withLock { overlaps = true } }

  /// Counts what `body` writes, under SQLite's write lock.
  func writing<Result>(_ body: () throws -> Result) rethrows -> Result {
    begin()
    defer { end() }
    return try body()
  }

  /// A write begins, under SQLite's write lock.
  func begin() { condition.withLock { begun += 1 } }

  /// The write that began last is over: committed, or undone.
  func end() {
    condition.withLock {
      written += 1
      condition.broadcast()
    }
  }

  /// The number of the last write that has begun.
  var last: Int { condition.withLock { begun } }

  /// Waits until every write is durable up to one; without it, of those that began before the call.
  ///
  /// - Throws: a ``StoreFailure`` if the disk refused; from then on, always.
  func waitUntilDurable(_ number: Int? = nil) throws(StoreFailure) {
    condition.lock()
    defer { condition.unlock() }
    if overlaps { try wait(for: number ?? begun) }
  }

  /// The same, without a thread of the caller's.
  func durable() async throws {
    let number = condition.withLock { overlaps ? begun : 0 }
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      waiting.async { [self] in
        condition.lock()
        defer { condition.unlock() }
        continuation.resume(with: Result { try wait(for: number) })
      }
    }
  }

  /// Waits until everything is durable that a read before the call has seen. Where this process leaves nothing behind,
  /// another may: then the log is synced.
  ///
  /// - Throws: a ``StoreFailure`` if the disk refused; from then on, always.
  func waitUntilSeenIsDurable() throws(StoreFailure) {
    condition.lock()
    defer { condition.unlock() }
    if !overlaps {
      begun += 1
      written += 1
    }
    try wait(for: begun)
  }

  /// Called while `condition` is locked.
  private func wait(for number: Int) throws(StoreFailure) {
    while durable < number {
      if let failure { throw failure }
      guard !isSyncing, written > durable, let file else {
        condition.wait()
        continue
      }
      let reached = written
      isSyncing = true
      condition.unlock()
      // A file's methods may be called from any thread, and a sync changes nothing that a write needs.
      let code = file.pointee.pMethods.pointee.xSync(file, SQLITE_SYNC_NORMAL)
      condition.lock()
      isSyncing = false
      if code == SQLITE_OK { durable = reached } else { lose(code) }
      condition.broadcast()
    }
  }

  private func lose(_ code: Int32) {
    let failure = StoreFailure(
      "the disk did not take what was written (SQLite error \(code) from a sync of the write-ahead log)",
      kind: .permanent, mayBeStored: true)
    self.failure = failure
    onLoss(failure)
  }
}
