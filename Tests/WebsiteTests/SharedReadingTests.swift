import Ledger
import Synchronization
import Testing
import Website

@Suite(.timeLimit(.minutes(1))) struct SharedReadingTests {
  /// What is read: how often that was before. Readers wait until they are let go.
  private final class Source: Sendable {
    private struct State {
      var reads = 0
      var waiting: [CheckedContinuation<Void, Never>] = []
      var isHeld = false
      var fails = false
      var now = ContinuousClock.now
    }
    private let state = Mutex(State())

    var reads: Int { state.withLock { $0.reads } }
    var now: ContinuousClock.Instant { state.withLock { $0.now } }
    func pass(_ time: Duration) { state.withLock { $0.now += time } }
    func hold() { state.withLock { $0.isHeld = true } }
    func fail(_ fails: Bool) { state.withLock { $0.fails = fails } }

    func letGo() {
      let waiting = state.withLock { state in
        state.isHeld = false
        defer { state.waiting = [] }
        return state.waiting
      }
      for one in waiting { one.resume() }
    }

    func read() async throws(StoreFailure) -> Int {
      let (number, fails) = state.withLock { state in
        state.reads += 1
        return (state.reads, state.fails)
      }
      await withCheckedContinuation { continuation in
        let goesOn = state.withLock { state in
          if state.isHeld { state.waiting.append(continuation) }
          return !state.isHeld
        }
        if goesOn { continuation.resume() }
      }
      if fails { throw StoreFailure("it cannot be read") }
      return number
    }
  }

  private func reading(_ source: Source) -> SharedReading<Int> {
    let now: @Sendable () -> ContinuousClock.Instant = { source.now }
    return SharedReading(every: .seconds(1), now: now) { () async throws(StoreFailure) in try await source.read() }
  }

  @Test func itIsReadOnceForAllWhoAskWithinItsTime() async throws {
    let source = Source()
    let reading = reading(source)
    source.hold()
    let askers = (0..<20).map { _ in Task { try await reading.content() } }
    while source.reads == 0 { await Task.yield() }
    source.letGo()
    for asker in askers { #expect(try await asker.value == 1) }
    source.pass(.milliseconds(999))
    #expect(try await reading.content() == 1 && source.reads == 1)
    source.pass(.milliseconds(1))
    #expect(try await reading.content() == 2 && source.reads == 2)
  }

  @Test func aFailureIsNotKept() async throws {
    let source = Source()
    let reading = reading(source)
    source.fail(true)
    await #expect(throws: StoreFailure.self) { try await reading.content() }
    source.fail(false)
    #expect(try await reading.content() == 2)
  }
}
