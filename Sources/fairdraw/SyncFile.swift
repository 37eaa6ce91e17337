import Foundation

/// Has the disk keep what was written to a file, or which files a folder has.
func syncFile(_ file: URL) throws(CommandFailure) {
  let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else {
    throw CommandFailure("\(file.path) cannot be opened: \(String(cString: strerror(errno)))")
  }
  defer { close(descriptor) }
  guard fsync(descriptor) == 0 else {
    throw CommandFailure("\(file.path) cannot be synced: \(String(cString: strerror(errno)))")
  }
}
