import API
import Foundation

/// Files that are replaced as a whole.
enum DurableFile {
  /// Replaces a file, or creates it, for its owner alone. When this returns, the disk has it; until then it has what was
  /// there before.
  static func write(_ bytes: [UInt8], to path: String) throws(CommandFailure) {
    let draft = path + ".new"
    let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("\(draft) cannot be created") }
    let error = Descriptor.write(bytes, to: descriptor).error
    guard error == 0, fsync(descriptor) == 0 else {
      defer { close(descriptor) }
      if error != 0 { errno = error }
      throw failure("\(draft) cannot be written")
    }
    close(descriptor)
    guard rename(draft, path) == 0 else { throw failure("\(draft) cannot be renamed") }
    try sync(URL(fileURLWithPath: path).deletingLastPathComponent())
  }

  /// Has the disk keep what was written to a file, or which files a folder has.
  static func sync(_ file: URL) throws(CommandFailure) {
    let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("\(file.path) cannot be opened") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw failure("\(file.path) cannot be synced") }
  }

  private static func failure(_ what: String) -> CommandFailure {
    CommandFailure("\(what): \(String(cString: strerror(errno)))")
  }
}
