import GRDBSQLite
import Synchronization

/// Counts how often SQLite has the system write a file through to the disk.
///
/// `synchronous` is a setting of a connection that nobody can ask another connection for; what it does is what counts.
/// SQLite's default file system is replaced by one that differs in nothing but `xSync`, which counts first. It stays for
/// the life of the process.
enum SyncCount {
  /// Makes the connections that are opened from now on count.
  static func install() { _ = installed }

  static func of(_ path: String) -> Int { files.withLock { $0.counts[path, default: 0] } }

  private struct Files {
    var paths: [UInt: String] = [:]
    var counts: [String: Int] = [:]
    /// By the original ones' address.
    var methods: [UInt: UInt] = [:]
    var sync: (@convention(c) (UnsafeMutablePointer<sqlite3_file>?, Int32) -> Int32)?
    var open:
      (
        @convention(c) (
          UnsafeMutablePointer<sqlite3_vfs>?, UnsafePointer<CChar>?,
          UnsafeMutablePointer<sqlite3_file>?, Int32,
          UnsafeMutablePointer<Int32>?
        ) -> Int32
      )?
  }

  private static let files = Mutex(Files())

  private static let installed: Bool = {
    guard let original = sqlite3_vfs_find(nil) else { return false }
    let counting = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
    counting.initialize(to: original.pointee)
    let name: StaticString = "fairdraw-sync-count"
    counting.pointee.zName = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
    files.withLock { $0.open = original.pointee.xOpen }
    counting.pointee.xOpen = { vfs, name, file, flags, outFlags in
      let open = SyncCount.files.withLock { $0.open }
      guard let open, let file else { return SQLITE_CANTOPEN }
      let code = open(vfs, name, file, flags, outFlags)
      if code == SQLITE_OK, let name { SyncCount.watch(file, String(cString: name)) }
      return code
    }
    return sqlite3_vfs_register(counting, 1) == SQLITE_OK
  }()

  private static func watch(_ file: UnsafeMutablePointer<sqlite3_file>, _ path: String) {
    guard let original = file.pointee.pMethods else { return }
    let counting = files.withLock { files in
      files.paths[UInt(bitPattern: file)] = path
      if let known = files.methods[UInt(bitPattern: original)] { return known }
      files.sync = original.pointee.xSync
      let counting = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
      counting.initialize(to: original.pointee)
      counting.pointee.xSync = { file, flags in
        let sync = SyncCount.files.withLock { files in
          if let path = files.paths[UInt(bitPattern: file)] { files.counts[path, default: 0] += 1 }
          return files.sync
        }
        return sync.map { $0(file, flags) } ?? SQLITE_IOERR
      }
      files.methods[UInt(bitPattern: original)] = UInt(bitPattern: counting)
      return UInt(bitPattern: counting)
    }
    file.pointee.pMethods = UnsafePointer(bitPattern: counting)
  }
}
