import Foundation

extension Thread {
  /// Starts a thread that the system knows by `name`, of at most 15 bytes; `top -H` and the benchmarks show it.
  ///
  /// Foundation does not pass on a name that is set before the start.
  package static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
    let thread = Thread {
      Thread.current.name = name
      body()
    }
    thread.start()
  }

  /// Lets the calling thread run before others of the machine that are ready, if the process may do so (CAP_SYS_NICE).
  static func raisePriority() {
    #if os(Linux)
      _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, -10)  // of 0, that is of the calling thread
    #endif
  }
}
