import Fairness
import Ledger
import Logging
import Synchronization
import Testing
import Transparency

/// A log of empty days that fails when it is told to.
private final class FaultyLog: TransparencyStore {
  struct State {
    var next = Day(of: 0)
    var failures = 0
    var isDatabaseBehind = false
    var published: [Day] = []
  }
  let state = Mutex(State())

  func nextDay() throws(StoreFailure) -> Day? {
    let next: Day? = state.withLock { state in
      guard state.failures == 0 else {
        state.failures -= 1
        return nil
      }
      return state.next
    }
    guard let next else { throw StoreFailure("the disk is full") }
    return next
  }

  func openDay(_ day: Day) throws -> any DayDraft {
    if state.withLock({ $0.isDatabaseBehind }) { throw DayNotOver(day) }
    return EmptyDraft(log: self, day: day)
  }

  func publishedDays(before: Day?, limit: Int) async throws(StoreFailure) -> [PublishedDay] { [] }
  func publishedDay(_ day: Day) async throws(StoreFailure) -> PublishedDay? { nil }
  func find(_ reference: OutcomeReference) async throws(StoreFailure) -> FoundOutcome? { nil }
  func first(
    of clientSeed: ClientSeed, cursor: Int64, nonce: Int64, on day: Day
  ) async throws(StoreFailure) -> FoundOutcome? { nil }
  func leafTiles(of day: Day, first: Int, limit: Int) async throws(StoreFailure) -> [MerkleTile] { [] }
  func leaves(
    of account: AccountID, on day: Day, after: Int64?
  ) async throws(StoreFailure) -> (leaves: [PlacedLeaf], next: Int64?) { ([], nil) }
}

private final class EmptyDraft: DayDraft {
  let log: FaultyLog
  let day: Day

  init(log: FaultyLog, day: Day) {
    self.log = log
    self.day = day
  }

  func nextLeaves(limit: Int) throws(StoreFailure) -> [LogLeaf] { [] }
  func keep(_ tiles: [MerkleTile]) throws(StoreFailure) {}
  func keepPlaces() throws(StoreFailure) -> Bool { false }
  func publish(_ make: (MerkleHash?) throws -> PublishedDay) throws(StoreFailure) -> PublishedDay {
    let made: PublishedDay
    do { made = try make(nil) } catch { throw StoreFailure("\(error)") }
    log.state.withLock {
      $0.published.append(day)
      $0.next = day.next
    }
    return made
  }
  func interrupt() {}
}

@Suite(.timeLimit(.minutes(1))) struct MerklePublisherTests {
  private static let dayLength: Milliseconds = 86_400_000

  /// Runs a publisher whose sleeps are told and over at once, until it has slept `sleeps` times. `onSleep` may change
  /// the time.
  private func run(
    _ log: FaultyLog, from start: Milliseconds, sleeps: Int,
    onSleep: @escaping @Sendable (Int, inout Milliseconds) -> Void = { _, _ in }
  ) async throws -> [Duration] {
    let state = Mutex((now: start, slept: [Duration]()))
    let publisher = MerklePublisher(
      store: log, signer: try RootSigner(masterKey: masterKey),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      clock: { state.withLock { $0.now } },
      sleep: { duration in
        let count = state.withLock { state in
          state.slept.append(duration)
          onSleep(state.slept.count, &state.now)
          return state.slept.count
        }
        // Then it sleeps until it is cancelled.
        if count >= sleeps { try await Task.sleep(for: .seconds(3600)) }
      })
    let task = Task { await publisher.run() }
    while state.withLock({ $0.slept.count }) < sleeps { try await Task.sleep(for: .milliseconds(1)) }
    task.cancel()
    await task.value
    return state.withLock { $0.slept }
  }

  @Test func itCatchesUpAndThenWaitsForMidnight() async throws {
    let log = FaultyLog()
    let slept = try await run(log, from: 3 * Self.dayLength + 1, sleeps: 1)
    #expect(log.state.withLock { $0.published } == (0..<3).map { Day(number: $0) })
    #expect(slept == [.seconds(15)])
  }

  @Test func itWakesAtMidnight() async throws {
    let log = FaultyLog()
    let slept = try await run(log, from: Self.dayLength - 2500, sleeps: 3) { count, now in
      if count == 1 { now += 2499 }
      if count == 2 { now += 1 }
    }
    #expect(slept == [.milliseconds(2500), .milliseconds(1), .seconds(15)])
    #expect(log.state.withLock { $0.published } == [Day(number: 0)])
  }

  @Test func failuresAreTriedAgainMoreAndMoreSlowly() async throws {
    let log = FaultyLog()
    log.state.withLock { $0.failures = 9 }
    let slept = try await run(log, from: Self.dayLength, sleeps: 10)
    #expect(slept == [1, 2, 4, 8, 16, 32, 60, 60, 60, 15].map { .seconds($0) })
    #expect(log.state.withLock { $0.published } == [Day(number: 0)])
  }

  @Test func aDatabaseWhoseClockIsBehindIsNoFailure() async throws {
    let log = FaultyLog()
    log.state.withLock { $0.isDatabaseBehind = true }
    let slept = try await run(log, from: Self.dayLength, sleeps: 3) { count, _ in
      if count == 2 { log.state.withLock { $0.isDatabaseBehind = false } }
    }
    #expect(slept == [.seconds(1), .seconds(1), .seconds(15)])
    #expect(log.state.withLock { $0.published } == [Day(number: 0)])
  }

  @Test func aPublisherThatIsCancelledIsDone() async throws {
    let log = FaultyLog()
    _ = try await run(log, from: Self.dayLength, sleeps: 1)
    // run() has returned: cancelling ended the sleep of an hour.
    #expect(log.state.withLock { $0.published.count } == 1)
  }
}
