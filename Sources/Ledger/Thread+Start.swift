import Dispatch
import Foundation
import Synchronization

extension Thread {
  /// Starts a thread that the system knows by `name`, of at most 15 bytes; `top -H` and the benchmarks show it.
  ///
  /// Foundation passes on no name that is set before the start has returned. And it lets go of what a thread has run when
  /// the thread is nearly gone: after Dispatch, which must not be used there any more, but is by much that `body` may hold,
  /// such as a store that closes. So `body` is let go before.
  package static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
    let once = Once(body)
    let isStarted = DispatchSemaphore(value: 0)
    let thread = Thread {
      isStarted.wait()
      Thread.current.name = name
      once.run()
    }
    thread.start()
    isStarted.signal()
  }

  private final class Once: Sendable {
    private let body: Mutex<(@Sendable () -> Void)?>

    init(_ body: @escaping @Sendable () -> Void) { self.body = Mutex(body) }

    /// Runs the body, and holds it no longer.
    func run() { body.withLock { $0.take() }?() }
  }

  /// Lets the calling thread run before others of the machine that are ready, if the process may do so (CAP_SYS_NICE).
  static func raisePriority() {
    #if os(Linux)
      _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, -10)  // of 0, that is of the calling thread
    #endif
  }
}
