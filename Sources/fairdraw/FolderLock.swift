import Foundation

/// Lets one process at a time make what is to be in a folder.
enum FolderLock {
  /// Runs `body` while no other process does in the same folder. Where a file system has no locks, it just runs.
  static func holding<Result>(_ folder: URL, _ body: () throws -> Result) throws -> Result {
    let descriptor = Foundation.open(folder.path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw CommandFailure("the folder \(folder.path) cannot be opened: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }  // which lets go of the lock
    while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
    return try body()
  }
}
