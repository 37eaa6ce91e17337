import Foundation

/// What every user of the machine may read though it holds secrets.
enum Exposure {
  /// Tells `warn` if that is so of `file`.
  ///
  /// - Parameter advice: the command that mends it, but for the file's name.
  static func warn(of file: URL, _ what: String, advice: String, _ warn: (String) -> Void) {
    var status = stat()
    guard stat(file.path, &status) == 0, status.st_mode & 0o004 != 0 else { return }
    warn("\(what) \(file.path) can be read by every user of this machine: \(advice) \(file.path)")
  }
}
