import Foundation

/// Lets one process at a time make what is to be in a folder.
enum FolderLock {
  /// Runs `body` while no other process does in the same folder. Where a file system has no locks, it just runs.
  static func holding<Result>(_ folder: URL, _ body: () throws -> Result) throws -> Result {
    let lock = try take(folder)
    defer { close(lock) }  // which lets go of the lock
    return try body()
  }

  /// The same for a body that waits.
  static func holding<Result>(_ folder: URL, _ body: () async throws -> Result) async throws -> Result {
    let lock = try take(folder)
    defer { close(lock) }
    return try await body()
  }

  private static func take(_ folder: URL) throws(CommandFailure) -> CInt {
    let descriptor = Foundation.open(folder.path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw CommandFailure("the folder \(folder.path) cannot be opened: \(String(cString: strerror(errno)))")
    }
    while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
    return descriptor
  }
}
