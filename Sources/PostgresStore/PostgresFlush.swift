import Foundation
import Ledger

/// Makes durable, on a connection of its own, what groups have committed without waiting for the disk.
///
/// PostgreSQL's log is one sequence, so a commit that waits, for the disk and for synchronous standbys, has waited for all
/// that were in the log before it. But a crash takes away what nobody waited for, and after it a wait says nothing of that.
/// A crash also breaks every connection: so a wait counts for those groups alone that were committed while the connection
/// was open which waits. What became of the others is not known.
///
/// Unchecked: everything that changes is only touched while `condition` is locked, except the session, which belongs to
/// whoever has set `isBusy`.
final class PostgresFlush: @unchecked Sendable {
  private let session: PostgresSession
  private let condition = NSCondition()
  private var isBusy = false
  /// Whether the session has a connection that is good for this.
  private var isOpen = false
  /// How often the connection was lost.
  private var breaks = 0
  /// Groups are numbered as they are committed. Up to `durable` they are safe, and up to `lost` that is not known of those
  /// that nobody has waited for in time.
  private var committed = 0
  private var durable = 0
  private var lost = 0
  /// What broke the connection last.
  private var reason = "it was closed"

  init(_ session: PostgresSession) { self.session = session }

  /// What holds a group to the connection that was open before its commit.
  struct Hold {
    fileprivate let breaks: Int
  }

  /// Sees that the connection is open; nil where a group has to wait for its own commit. That is so without a connection,
  /// and behind a pooler, which hides from its clients that the database has restarted.
  func hold() -> Hold? {
    condition.lock()
    defer { condition.unlock() }
    while isBusy, !isOpen { condition.wait() }
    // One that has broken while nobody used it is replaced without anyone noticing.
    if isOpen, !isBusy, !session.isAlive { lose(because: "it was closed") }
    if isOpen { return Hold(breaks: breaks) }
    isBusy = true
    condition.unlock()
    let opened = Result { try session.open() }
    condition.lock()
    isBusy = false
    if case .success(let connection) = opened { isOpen = !connection.isPooled }
    condition.broadcast()
    return isOpen ? Hold(breaks: breaks) : nil
  }

  /// Numbers a group that was committed.
  ///
  /// - Throws: a ``StoreFailure`` if the connection was lost meanwhile.
  func add(_ hold: Hold) throws(StoreFailure) -> Int {
    condition.lock()
    defer { condition.unlock() }
    guard hold.breaks == breaks else { throw unknown }
    committed += 1
    return committed
  }

  /// Waits until a group is durable. Whoever comes first asks the database, for all that are committed by then.
  ///
  /// - Throws: a ``StoreFailure`` if that is not known.
  func wait(for group: Int) throws(StoreFailure) {
    condition.lock()
    defer { condition.unlock() }
    while true {
      guard group > lost else { throw unknown }
      if durable >= group { return }
      guard !isBusy else {
        condition.wait()
        continue
      }
      isBusy = true
      let reached = committed
      condition.unlock()
      let flushed = Result { try session.use { try $0.flush() } }
      condition.lock()
      isBusy = false
      switch flushed {
      case .success: durable = reached
      case .failure(let error): lose(because: "\(error)")
      }
      condition.broadcast()
    }
  }

  /// Gives the connection up. Called while `condition` is locked, by whoever may use the session.
  private func lose(because reason: String) {
    self.reason = reason
    session.discard()
    isOpen = false
    breaks += 1
    lost = committed
  }

  private var unknown: StoreFailure {
    StoreFailure(
      "the connection to PostgreSQL that waits for the disk broke: \(reason)", isOfWholeStore: true, mayBeStored: true)
  }
}

extension Connection {
  /// Waits until all is durable that was committed before, by anyone.
  ///
  /// - Throws: ``PostgresFailure``.
  func flush() throws { try commit(after: [Query(.begin), Query(.writeMark)]) }
}

extension PostgresStatement {
  /// Puts a few bytes into the log that nobody reads, so that there is a commit to wait for; and where they end.
  static let writeMark: PostgresStatement =
    "SELECT (pg_logical_emit_message(true, 'fairdraw', '') - '0/0'::pg_lsn)::bigint"

  /// Where the log ends.
  static let position: PostgresStatement = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
}
