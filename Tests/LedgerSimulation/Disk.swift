import GRDBSQLite
import Synchronization

/// What SQLite asks of the disk, counted and, on demand, refused.
///
/// `synchronous` is a setting of a connection that no other connection can be asked for; what it does is what counts.
/// SQLite's default file system is replaced by one that differs in the methods that write. It stays for the life of the
/// process.
package enum Disk {
  /// What was done to a file, by the end of its path.
  package struct Event: Sendable {
    /// A sync covers what came before an event's number.
    package enum Action: Sendable {
      case write(offset: Int, bytes: [UInt8])
      case truncate(size: Int)
      case sync(covering: Int)
    }
    package let path: String
    package let action: Action
  }

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

  /// Takes note, from now on, of what is done to the files whose paths begin so.
  package static func record(_ prefix: String) { watched.withLock { $0.recorded = prefix } }

  /// How much was taken note of so far.
  package static var recordedCount: Int { watched.withLock { $0.events.count } }

  /// Ends the record and returns it.
  package static func endRecord() -> [Event] {
    watched.withLock { watched in
      watched.recorded = nil
      defer { watched.events = [] }
      return watched.events
    }
  }

  private typealias Open =
    @convention(c) (
      UnsafeMutablePointer<sqlite3_vfs>?, UnsafePointer<CChar>?, UnsafeMutablePointer<sqlite3_file>?, Int32,
      UnsafeMutablePointer<Int32>?
    ) -> Int32
  private typealias Sync = @convention(c) (UnsafeMutablePointer<sqlite3_file>?, Int32) -> Int32
  private typealias Write =
    @convention(c) (UnsafeMutablePointer<sqlite3_file>?, UnsafeRawPointer?, Int32, sqlite3_int64) -> Int32
  private typealias Truncate = @convention(c) (UnsafeMutablePointer<sqlite3_file>?, sqlite3_int64) -> Int32

  private struct Watched {
    /// Of the open files, by their addresses.
    var paths: [UInt: String] = [:]
    var syncs: [String: Int] = [:]
    var refused: Set<String> = []
    /// The watching copy of each table of methods, by the original's address.
    var methods: [UInt: UInt] = [:]
    var open: Open?
    var sync: Sync?
    var write: Write?
    var truncate: Truncate?
    var recorded: String?
    var events: [Event] = []

    mutating func note(_ file: UnsafeMutablePointer<sqlite3_file>?, _ action: Event.Action) {
      guard let recorded, let path = paths[UInt(bitPattern: file)], path.hasPrefix(recorded) else { return }
      events.append(Event(path: path, action: action))
    }
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
      (watched.write, watched.truncate) = (original.pointee.xWrite, original.pointee.xTruncate)
      watching.pointee.xWrite = { Disk.write($0, $1, $2, $3) }
      watching.pointee.xTruncate = { Disk.truncate($0, $1) }
      watched.methods[UInt(bitPattern: original)] = UInt(bitPattern: watching)
      return UInt(bitPattern: watching)
    }
    file.pointee.pMethods = UnsafePointer(bitPattern: address)
  }

  // What is written is noted before it is, and a sync when it is over: nothing counts as durable too early.

  private static func write(
    _ file: UnsafeMutablePointer<sqlite3_file>?, _ bytes: UnsafeRawPointer?, _ count: Int32, _ offset: sqlite3_int64
  ) -> Int32 {
    let write = watched.withLock { watched in
      if watched.recorded != nil, let bytes {
        let content = Array(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
        watched.note(file, .write(offset: Int(offset), bytes: content))
      }
      return watched.write
    }
    return write?(file, bytes, count, offset) ?? SQLITE_IOERR
  }

  private static func truncate(_ file: UnsafeMutablePointer<sqlite3_file>?, _ size: sqlite3_int64) -> Int32 {
    let truncate = watched.withLock { watched in
      watched.note(file, .truncate(size: Int(size)))
      return watched.truncate
    }
    return truncate?(file, size) ?? SQLITE_IOERR
  }

  private static func sync(_ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32) -> Int32 {
    let (sync, begun): (Sync?, Int) = watched.withLock { watched in
      guard let path = watched.paths[UInt(bitPattern: file)] else { return (watched.sync, 0) }
      watched.syncs[path, default: 0] += 1
      return (watched.refused.contains(path) ? nil : watched.sync, watched.events.count)
    }
    let code = sync?(file, flags) ?? SQLITE_IOERR
    if code == SQLITE_OK { watched.withLock { $0.note(file, .sync(covering: begun)) } }
    return code
  }
}
