import Fairness
import Ledger
import LedgerSimulation
import Synchronization
import Testing

/// The health tests of NIST SP 800-90B, section 4.4.
struct HealthTestsTests {
  private let tests = HealthTests(entropy: 8, falseAlarm: 64)

  private func failure(_ samples: [UInt8], of tests: HealthTests? = nil) -> HealthTests.Failure? {
    var tests = tests ?? self.tests
    do throws(HealthTests.Failure) {
      try tests.take(samples)
      return nil
    } catch {
      return error
    }
  }

  /// 1 + ⌈20 ÷ H⌉ and so on.
  @Test(arguments: [
    (1.0, 20, 21), (1, 30, 31), (1, 40, 41), (8, 20, 4), (8, 40, 6), (8, 64, 9), (2.5, 30, 13), (3, 64, 23),
  ]) func repetitionCutoffs(_ entropy: Double, _ falseAlarm: Int, _ cutoff: Int) {
    #expect(HealthTests.repetitionCutoff(entropy: entropy, falseAlarm: falseAlarm) == cutoff)
  }

  /// The first four are the publication's own, for a window of 512 and 2^−20; the others were computed with SciPy's
  /// binomial distribution.
  @Test(arguments: [
    (1.0, 20, 311), (2, 20, 177), (4, 20, 62), (8, 20, 13), (8, 40, 19), (8, 64, 26), (4, 64, 93), (1, 64, 358),
  ]) func proportionCutoffs(_ entropy: Double, _ falseAlarm: Int, _ cutoff: Int) {
    #expect(HealthTests.proportionCutoff(entropy: entropy, falseAlarm: falseAlarm) == cutoff)
  }

  @Test func aStuckSourceFailsAtTheCutoffAndNotBefore() {
    let start: [UInt8] = [1, 2, 3]
    #expect(failure(start + [UInt8](repeating: 7, count: 8) + start) == nil)
    #expect(failure(start + [UInt8](repeating: 7, count: 9)) == .repetition(9))
    #expect(failure([UInt8](repeating: 0, count: 9)) == .repetition(9))
  }

  @Test func repetitionsGoOnOverPieces() throws {
    var tests = tests
    try tests.take([UInt8](repeating: 7, count: 4))
    try tests.take([UInt8](repeating: 7, count: 4))
    #expect(throws: HealthTests.Failure.repetition(9)) { try tests.take([7]) }
  }

  /// A window in which its first value comes `count` times, never twice in a row; the others count up.
  private func window(_ first: UInt8, _ count: Int) -> [UInt8] {
    var window = (0..<HealthTests.window).map { UInt8(truncatingIfNeeded: 100 + $0 % 100) }
    for place in 0..<count { window[2 * place] = first }
    return window
  }

  @Test func aValueThatComesTooOftenFailsAtTheCutoffAndNotBefore() {
    #expect(failure(window(7, 25)) == nil)
    #expect(failure(window(7, 26)) == .proportion(26))
    // Each window begins anew, with a first value of its own.
    #expect(failure(window(7, 25) + window(7, 25) + window(9, 25)) == nil)
    #expect(failure(window(7, 25) + window(9, 26)) == .proportion(26))
  }

  @Test func windowsGoOnOverPieces() throws {
    var tests = tests
    let window = window(7, 26)
    try tests.take(window[..<50])
    #expect(throws: HealthTests.Failure.proportion(26)) { try tests.take(window[50...]) }
  }

  /// A quarter of all bytes is 7: three standard deviations above what passes.
  @Test(arguments: 0..<20 as Range<UInt64>) func aBiasedSourceFails(_ seed: UInt64) {
    var random = SplitMix64(state: seed)
    let samples = (0..<64 * HealthTests.window).map { _ in random.next() % 4 == 0 ? 7 : UInt8(random.next() >> 56) }
    #expect(failure(samples) != nil)
  }

  @Test func aGoodSourcePasses() {
    var random = SplitMix64(state: 1)
    #expect(failure((0..<1 << 20).map { _ in UInt8(random.next() >> 56) }) == nil)
    // What can be predicted is not noticed: these tests are not for that.
    #expect(failure((0..<1 << 16).map { UInt8(truncatingIfNeeded: $0) }) == nil)
  }
}

/// What seeds are made of.
@Suite(.timeLimit(.minutes(1))) struct RandomSourceTests {
  /// Bytes of a seeded generator, until it is told to do otherwise.
  private final class Supply: Sendable {
    enum Mood { case well, stuck, unreadable }
    let state = Mutex((mood: Mood.well, random: SplitMix64(state: 1), given: [UInt8]()))

    func set(_ mood: Mood) { state.withLock { $0.mood = mood } }
    var given: [UInt8] { state.withLock { $0.given } }

    var source: RandomSource {
      RandomSource(tests: HealthTests(entropy: 8, falseAlarm: 64)) { buffer in
        self.state.withLock { state in
          if state.mood == .unreadable { return false }
          for index in buffer.indices { buffer[index] = state.mood == .stuck ? 0 : UInt8(state.random.next() >> 56) }
          state.given += buffer
          return true
        }
      }
    }
  }

  private func failure(_ source: RandomSource) -> StoreFailure? {
    do throws(StoreFailure) {
      _ = try source.bytes(1)
      return nil
    } catch {
      return error
    }
  }

  @Test func eachByteIsGivenOnce() throws {
    let supply = Supply()
    let source = supply.source
    var bytes: [UInt8] = []
    for count in [0, 1, 32, 0, 48, 2000, 5000] { bytes += try source.bytes(count) }
    #expect(bytes.count == 7081 && supply.given.count < 7081 + 1024)
    bytes += try source.bytes(supply.given.count - bytes.count)
    #expect(bytes.sorted() == supply.given.sorted())
  }

  @Test func aCheckGivesItsBytesToNobody() throws {
    let supply = Supply()
    let source = supply.source
    try source.check()
    let checked = supply.given
    let bytes = try source.bytes(1024)
    #expect(bytes != checked && supply.given.count == 2048)
  }

  @Test(arguments: [true, false]) func aFailureIsForGood(_ isStuck: Bool) throws {
    let supply = Supply()
    let source = supply.source
    _ = try source.bytes(1000)
    supply.set(isStuck ? .stuck : .unreadable)
    // What is left was tested. What comes next was not.
    _ = try source.bytes(24)
    #expect(source.failure == nil)
    let failure = try #require(self.failure(source))
    #expect(failure.kind == .entropy && failure.isOfWholeStore)
    #expect(failure.description.contains(isStuck ? "one byte 9 times in a row" : "cannot be read"))
    supply.set(.well)
    #expect(self.failure(source) == failure && source.failure == failure)
    #expect(throws: failure) { try source.check() }
  }

  /// A block that fails is not used, also where only its end is bad.
  @Test func whatWasReadWithAFailureIsNotUsed() throws {
    let supply = Supply()
    let source = supply.source
    _ = try source.bytes(100)
    supply.set(.stuck)
    #expect(throws: StoreFailure.self) { try source.bytes(1000) }
    #expect(throws: StoreFailure.self) { try source.bytes(1) }
  }

  @Test func theSystemsSourcePasses() throws {
    for _ in 0..<100 { try RandomSource.system.check() }
    #expect(try RandomSource.system.bytes(32) != RandomSource.system.bytes(32))
  }

  @Test func nothingIsDrawnWithoutRandomness() async throws {
    var ledger = MemoryLedger()
    ledger.addAccount(1, dailyQuota: 1000)
    ledger.addKey(1, account: 1)
    let (supply, said) = (Supply(), Said())
    let source = supply.source
    let writer = LedgerWriter(
      store: FaultyStore(ledger: ledger), decider: decider, limits: .unhurried, random: source,
      onTrouble: { said.add($0) })
    let caller = Caller.live(1, account: 1)
    func status(_ operation: Operation) async -> Int {
      do throws(LedgerUnavailable) {
        return try await writer.submit(Submission(caller: caller, operation: operation)).status
      } catch {
        guard case .storeFailed(let failure) = error else { return 0 }
        return Refusal(failure).code == .entropyFailed ? 503 : 0
      }
    }
    // Two kinds of seeds: a chain's, which follows from the master key, and a commitment's.
    #expect(await status(.draw(.ints("a"))) == 200)
    #expect(await status(.commit) == 200 && writer.stopped == nil)
    supply.set(.stuck)
    while writer.stopped == nil { try await Task.sleep(for: .milliseconds(5)) }  // a check comes every second
    #expect(await status(.draw(.ints("a"))) == 503)
    #expect(await status(.commit) == 503)
    while !writer.report.store.hasNoRandomness { try await Task.sleep(for: .milliseconds(5)) }
    #expect(writer.report.store.isFailing)
    await writer.drain()
    #expect(said.all.contains { $0.contains("random source has failed") })
  }

  @Test func aSourceThatNeverWorkedIsNoticedAtTheStart() async {
    let supply = Supply()
    supply.set(.unreadable)
    let said = Said()
    let writer = LedgerWriter(
      store: FaultyStore(ledger: MemoryLedger()), decider: decider, random: supply.source, onTrouble: { said.add($0) })
    #expect(writer.stopped?.kind == .entropy && writer.report.store.hasNoRandomness)
    #expect(said.all.count == 1)
    await writer.drain()
  }
}
