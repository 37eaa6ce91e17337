import Dispatch
import Synchronization

/// Sessions that threads share, one at a time each.
final class SessionPool: Sendable {
  private let idle: Mutex<[PostgresSession]>
  private let free: DispatchSemaphore

  init(_ sessions: [PostgresSession]) {
    idle = Mutex(sessions)
    free = DispatchSemaphore(value: sessions.count)
  }

  /// Runs `body` with a session nobody else has, waiting for one if need be. The one used last comes first, so that no
  /// more connections are made than are needed.
  func withSession<Result>(_ body: (PostgresSession) throws -> Result) rethrows -> Result {
    free.wait()
    defer { free.signal() }
    // The semaphore counts what is in there.
    let session = idle.withLock { $0.removeLast() }
    defer { idle.withLock { $0.append(session) } }
    return try body(session)
  }
}
