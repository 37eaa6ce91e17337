import GRDBSQLite
import Synchronization

/// What SQLite asks of the disk, counted and, on demand, refused.
///
/// `synchronous` is a setting of a connection that no other connection can be asked for; what it does is what counts.
/// SQLite's default file system is replaced by one that differs in `xSync` alone. It stays for the life of the process.
package enum Disk {
  /// Has the connections that are opened from now on watched.
  package static func watch() { _ = installed }

  /// How often the file at `path` was written through to the disk, or should have been.
  package static func syncs(of path: String) -> Int { watched.withLock { $0.syncs[path, default: 0] } }

  /// From now on the disk refuses to write the file at `path` through, or does it again.
  package static func refuseSyncs(of path: String, _ refuses: Bool) {
    watched.withLock { watched in
      if refuses { watched.refused.insert(path) } else { watched.refused.remove(path) }
    }
  }

  private typealias Open =
    @convention(c) (
      UnsafeMutablePointer<sqlite3_vfs>?, UnsafePointer<CChar>?, UnsafeMutablePointer<sqlite3_file>?, Int32,
      UnsafeMutablePointer<Int32>?
    ) -> Int32
  private typealias Sync = @convention(c) (UnsafeMutablePointer<sqlite3_file>?, Int32) -> Int32

  private struct Watched {
    /// Of the open files, by their addresses.
    var paths: [UInt: String] = [:]
    var syncs: [String: Int] = [:]
    var refused: Set<String> = []
    /// The watching copy of each table of methods, by the original's address.
    var methods: [UInt: UInt] = [:]
    var open: Open?
    var sync: Sync?
  }

  private static let watched = Mutex(Watched())

  private static let installed: Bool = {
    guard let original = sqlite3_vfs_find(nil) else { return false }
    let watching = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
    watching.initialize(to: original.pointee)
    let name: StaticString = "fairdraw-watched"
    watching.pointee.zName = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
    watched.withLock { $0.open = original.pointee.xOpen }
    watching.pointee.xOpen = { vfs, name, file, flags, outFlags in
      guard let open = Disk.watched.withLock({ $0.open }), let file else { return SQLITE_CANTOPEN }
      let code = open(vfs, name, file, flags, outFlags)
      if code == SQLITE_OK, let name { Disk.watch(file, String(cString: name)) }
      return code
    }
    return sqlite3_vfs_register(watching, 1) == SQLITE_OK
  }()

  private static func watch(_ file: UnsafeMutablePointer<sqlite3_file>, _ path: String) {
    guard let original = file.pointee.pMethods else { return }
    let address = watched.withLock { watched in
      watched.paths[UInt(bitPattern: file)] = path
      if let known = watched.methods[UInt(bitPattern: original)] { return known }
      watched.sync = original.pointee.xSync
      let watching = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
      watching.initialize(to: original.pointee)
      watching.pointee.xSync = { Disk.sync($0, $1) }
      watched.methods[UInt(bitPattern: original)] = UInt(bitPattern: watching)
      return UInt(bitPattern: watching)
    }
    file.pointee.pMethods = UnsafePointer(bitPattern: address)
  }

  private static func sync(_ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32) -> Int32 {
    let sync: Sync? = watched.withLock { watched in
      guard let path = watched.paths[UInt(bitPattern: file)] else { return watched.sync }
      watched.syncs[path, default: 0] += 1
      return watched.refused.contains(path) ? nil : watched.sync
    }
    return sync?(file, flags) ?? SQLITE_IOERR
  }
}
