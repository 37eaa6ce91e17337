import Foundation
import GRDBSQLite

/// Copies SQLite's write-ahead log into the database, off the writer's thread.
///
/// SQLite's own checkpoints run in the commit that made the log long, and everybody waits for them. Here another connection
/// copies most of the log while the writer goes on. What was written meanwhile, the writer copies itself: that is little,
/// and only then, with nothing left to copy, does the log begin again at its start. See
/// https://www.sqlite.org/wal.html#ckpt.
///
/// Unchecked: everything that changes is only touched while `condition` is locked.
package final class Checkpoints: @unchecked Sendable {
  private enum State {
    case idle, copying, copied
  }

  private let path: String
  private let pages: Int
  private let queue = DispatchQueue(label: "fairdraw-checkpoint", qos: .userInitiated)
  private let condition = NSCondition()
  private var state = State.idle
  /// How many pages there were at the last commit, and at how many the log is copied next.
  private var last = 0
  private var next: Int
  private var hasFailed = false

  /// - Parameters:
  ///   - path: the database's file.
  ///   - pages: how many are in the log when it is copied: each is copied once, however often it was written. With eight
  ///     times as many the writer waits for the copy, since the disk takes less than is written.
  package init(path: String, pages: Int) {
    (self.path, self.pages) = (path, pages)
    next = pages
  }

  /// Sees to the log of the pool's writing connection, in the place of SQLite's own checkpoints. That connection must be
  /// closed before this goes.
  package func watch(_ writer: OpaquePointer) {
    sqlite3_wal_hook(
      writer,
      { context, connection, _, pages in
        guard let context, let connection else { return SQLITE_OK }
        Unmanaged<Checkpoints>.fromOpaque(context).takeUnretainedValue().committed(Int(pages), connection)
        // A commit that is done cannot fail any more.
        return SQLITE_OK
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  /// Waits until nothing is being copied. Whoever goes on writing may make it begin again.
  package func waitUntilIdle() { queue.sync {} }

  /// Called by SQLite on the writer's thread, when a commit has made the log so many pages long.
  private func committed(_ pages: Int, _ writer: OpaquePointer) {
    condition.lock()
    defer { condition.unlock() }
    if pages < last { next = self.pages }  // it has begun anew
    last = pages
    while state == .copying, pages >= 8 * self.pages { condition.wait() }
    switch state {
    case .copying: break
    case .copied:
      // Readers may be where the log would begin again. It is then tried when as much has been added.
      note(Self.copy(writer))
      next = pages + self.pages
      state = .idle
    case .idle where pages >= next:
      state = .copying
      queue.async { self.copyBeside() }
    case .idle: break
    }
  }

  private func copyBeside() {
    var connection: OpaquePointer?
    var code = sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nil)
    // It learns that there is a log when it reads for the first time.
    if code == SQLITE_OK { code = sqlite3_exec(connection, "PRAGMA schema_version", nil, nil, nil) }
    if code == SQLITE_OK, let connection { code = Self.copy(connection) }
    sqlite3_close_v2(connection)
    condition.withLock {
      note(code)
      state = .copied
      condition.broadcast()
    }
  }

  /// Says once what keeps the log from being copied; what is written is safe in there. Called while `condition` is locked.
  private func note(_ code: Int32) {
    let fails = ![SQLITE_OK, SQLITE_BUSY].contains(code)
    if fails, !hasFailed {
      let sentence = "fairdraw: the write-ahead log is not merged into the database (SQLite error \(code)), and grows\n"
      FileHandle.standardError.write(Data(sentence.utf8))
    }
    hasFailed = fails
  }

  /// Copies what nobody reads from the log, without waiting for anybody.
  private static func copy(_ connection: OpaquePointer) -> Int32 {
    sqlite3_wal_checkpoint_v2(connection, nil, SQLITE_CHECKPOINT_PASSIVE, nil, nil)
  }
}
