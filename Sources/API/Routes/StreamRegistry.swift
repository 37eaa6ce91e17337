import Ledger
import NIOCore
import Synchronization

/// Knows every open stream: bounds their number, and stops them when the server does.
package final class StreamRegistry: Sendable {
  package struct Limits: Sendable {
    /// The most at once.
    package var streams: Int
    /// The most at once for one account's live keys.
    package var perAccount: Int
    /// The most at once for one address without a live key; as the rate limit, it may be off.
    package var perAddress: Int?

    package init(streams: Int = 2000, perAccount: Int = 1000, perAddress: Int? = 10) {
      self.streams = streams
      self.perAccount = perAccount
      self.perAddress = perAddress
    }
  }

  private struct State {
    var open: [ObjectIdentifier: OpenStream] = [:]
    var perHolder: [ResourceHolder: Int] = [:]
    var isClosed = false
  }

  private let limits: Limits
  private let state = Mutex(State())

  package init(limits: Limits) { self.limits = limits }

  /// Opens a stream, which must be closed again.
  ///
  /// - Throws: ``Refusal``: 503 when there are too many or the server stops, 429 when `holder` has too many.
  package func open(for holder: ResourceHolder, on eventLoop: any EventLoop) throws(Refusal) -> OpenStream {
    let stream = OpenStream(holder: holder, eventLoop: eventLoop)
    try state.withLock { state throws(Refusal) in
      guard !state.isClosed else {
        throw Refusal(503, "The server is shutting down; nothing was drawn.", code: .shuttingDown, retryAfter: 1)
      }
      guard state.open.count < limits.streams else {
        throw Refusal.overloaded("The server has too many streams open; nothing was drawn.", retryAfter: 5)
      }
      let most: Int? =
        switch holder {
        case .account: limits.perAccount
        case .subscriber: limits.perAddress
        case .nobody: nil
        }
      let count = state.perHolder[holder, default: 0]
      if let most, count >= most {
        throw Refusal(
          429, "Too many streams are open; close one.", code: .tooManyStreams, retryAfter: 10,
          policy: RateLimitPolicy("streams", quota: most, unit: "concurrent-requests"))
      }
      state.perHolder[holder] = count + 1
      state.open[ObjectIdentifier(stream)] = stream
    }
    return stream
  }

  package func close(_ stream: OpenStream) {
    state.withLock { state in
      guard state.open.removeValue(forKey: ObjectIdentifier(stream)) != nil else { return }
      let left = (state.perHolder[stream.holder] ?? 1) - 1
      state.perHolder[stream.holder] = left > 0 ? left : nil
    }
  }

  /// Stops all streams, and lets no more begin.
  package func closeAll() {
    let streams = state.withLock { state in
      state.isClosed = true
      return Array(state.open.values)
    }
    for stream in streams { stream.stop() }
  }

  package var count: Int { state.withLock { $0.open.count } }
}

/// A stream's hold on time: it sleeps, and may be stopped while it does.
package final class OpenStream: Sendable {
  package let holder: ResourceHolder
  private let eventLoop: any EventLoop
  private let state = Mutex(State())

  private struct State {
    var sleeper: CheckedContinuation<Bool, Never>?
    var alarm: Scheduled<Void>?
    var isStopped = false
  }

  init(holder: ResourceHolder, eventLoop: any EventLoop) {
    self.holder = holder
    self.eventLoop = eventLoop
  }

  var isStopped: Bool { state.withLock { $0.isStopped } }

  /// Sleeps until `deadline`; false, at once, if the stream is stopped.
  package func sleep(until deadline: NIODeadline) async -> Bool {
    await withCheckedContinuation { continuation in
      let isStopped = state.withLock { state in
        if state.isStopped { return true }
        state.sleeper = continuation
        state.alarm = eventLoop.scheduleTask(deadline: deadline) { self.wake() }
        return false
      }
      if isStopped { continuation.resume(returning: false) }
    }
  }

  private func wake() {
    state.withLock { state in
      state.alarm = nil
      return state.sleeper.take()
    }?.resume(returning: true)
  }

  func stop() {
    let (sleeper, alarm) = state.withLock { state in
      state.isStopped = true
      return (state.sleeper.take(), state.alarm.take())
    }
    alarm?.cancel()
    sleeper?.resume(returning: false)
  }
}
