import Foundation

/// How many files, sockets included, this process may have open.
enum OpenFiles {
  /// How many the server needs besides its connections: databases, webhooks, the log, the runtime itself, which dies
  /// where it finds none left.
  static let reserve = 128

  /// Raises the limit as far as the system lets everyone.
  ///
  /// - Returns: how many files may be open then, ``reserve`` and one more at least.
  static func raiseLimit() -> Int {
    var limit = rlimit()
    guard getrlimit(resource, &limit) == 0 else { return 1024 }
    if limit.rlim_cur < limit.rlim_max {
      var raised = limit
      raised.rlim_cur = raised.rlim_max
      if setrlimit(resource, &raised) == 0 { limit = raised }
    }
    return max(reserve + 1, Int(clamping: limit.rlim_cur))
  }

  #if os(Linux)
    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
  #else
    private static let resource = RLIMIT_NOFILE
  #endif
}
