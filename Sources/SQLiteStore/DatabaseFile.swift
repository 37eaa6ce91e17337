import Foundation
import Ledger

/// The file that was opened, and its write-ahead log, as the file system knows them: a path may lead elsewhere later.
struct DatabaseFile: Sendable {
  private let path: String
  private let opened: [String: Identity]

  private struct Identity: Equatable {
    let device: UInt64
    let number: UInt64

    /// Nil if nothing is there.
    init?(_ path: String) {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      device = UInt64(status.st_dev)
      number = UInt64(status.st_ino)
    }
  }

  /// - Parameter path: of a database that is open, in write-ahead mode.
  init(path: String) throws(StoreFailure) {
    var opened: [String: Identity] = [:]
    for name in [path, path + "-wal"] {
      guard let identity = Identity(name) else { throw StoreFailure("\(name) is not there", kind: .permanent) }
      opened[name] = identity
    }
    self.path = path
    self.opened = opened
  }

  /// - Throws: a permanent ``StoreFailure`` if a path leads elsewhere now: SQLite goes on writing to what was opened, and
  ///   nobody will find that again.
  func check() throws(StoreFailure) {
    for (name, identity) in opened where Identity(name) != identity {
      throw StoreFailure(
        "\(name) is not the file that was opened: it was deleted, moved or replaced. Nothing is recorded until the file "
          + "is back in its place. Or restart the server with a complete database",
        kind: .permanent)
    }
  }
}
