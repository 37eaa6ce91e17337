import Dispatch
import Ledger
import Synchronization

/// Sessions that are each on a queue of their own, so that whoever asks does not block a thread of theirs. Most are for
/// reading.
final class Readers: Sendable {
  private let state: Mutex<State>
  /// The most reads that may wait for a session.
  private static let limit = 2_000

  private struct State {
    var idle: [Reader]
    var waiting: [@Sendable (PostgresSession) -> Void] = []
  }

  private final class Reader: Sendable {
    let session: PostgresSession
    let queue: DispatchQueue

    init(session: PostgresSession, number: Int) {
      self.session = session
      queue = DispatchQueue(label: "postgres-reader-\(number)", qos: .userInitiated)
    }
  }

  init(_ sessions: [PostgresSession]) {
    state = Mutex(State(idle: sessions.enumerated().map { Reader(session: $0.element, number: $0.offset) }))
  }

  /// Runs `body` on a connection, soon. A connection that turns out to be broken is replaced once: reading twice is the
  /// same as reading once.
  func read<Result: Sendable>(
    _ body: @escaping @Sendable (Connection) throws -> Result
  ) async throws(StoreFailure) -> Result {
    let result: Swift.Result<Result, StoreFailure> = await withCheckedContinuation { continuation in
      let accepted = add { session in
        continuation.resume(returning: Self.attempt(body, on: session))
      }
      if !accepted { continuation.resume(returning: .failure(StoreFailure("too many reads wait for the database"))) }
    }
    return try result.get()
  }

  /// Runs `body` with a session, soon and once.
  func perform<Result: Sendable>(
    _ body: @escaping @Sendable (PostgresSession) throws -> Result
  ) async throws(StoreFailure) -> Result {
    let result: Swift.Result<Result, StoreFailure> = await withCheckedContinuation { continuation in
      let accepted = add { session in
        do {
          continuation.resume(returning: .success(try body(session)))
        } catch {
          continuation.resume(returning: .failure(StoreFailure(error)))
        }
      }
      if !accepted { continuation.resume(returning: .failure(StoreFailure("too much waits for the database"))) }
    }
    return try result.get()
  }

  private static func attempt<Result>(
    _ body: (Connection) throws -> Result, on session: PostgresSession
  ) -> Swift.Result<Result, StoreFailure> {
    let wasOpen = session.isOpen
    do {
      return .success(try session.use(body))
    } catch let failure as PostgresFailure where failure.isConnectionLost && wasOpen {
      do { return .success(try session.use(body)) } catch { return .failure(StoreFailure(error)) }
    } catch {
      return .failure(StoreFailure(error))
    }
  }

  /// Whether there was room for it.
  private func add(_ job: @escaping @Sendable (PostgresSession) -> Void) -> Bool {
    enum Step {
      case start(Reader)
      case wait, refuse
    }
    let step: Step = state.withLock { state in
      if let reader = state.idle.popLast() { return .start(reader) }
      guard state.waiting.count < Self.limit else { return .refuse }
      state.waiting.append(job)
      return .wait
    }
    switch step {
    case .start(let reader): reader.queue.async { self.work(reader, job) }
    case .wait: break
    case .refuse: return false
    }
    return true
  }

  /// Does the job, and then whatever waits.
  private func work(_ reader: Reader, _ job: @Sendable (PostgresSession) -> Void) {
    job(reader.session)
    while let next = next(for: reader) { next(reader.session) }
  }

  private func next(for reader: Reader) -> (@Sendable (PostgresSession) -> Void)? {
    state.withLock { state in
      if !state.waiting.isEmpty { return state.waiting.removeFirst() }
      state.idle.append(reader)
      return nil
    }
  }
}
