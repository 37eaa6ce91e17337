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
}
