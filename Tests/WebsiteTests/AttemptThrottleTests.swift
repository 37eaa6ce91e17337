import Accounts
import Ledger
import Testing
import Website

@Suite struct AttemptThrottleTests {
  private let throttle = AttemptThrottle()
  private let start = ContinuousClock.now
  private let alice = AttemptThrottle.Subject(EmailAddress("alice@example.com")!)
  private let bob = AttemptThrottle.Subject(EmailAddress("bob@example.com")!)

  @Test func fiveFailuresAreFreeAndThenEachWaitIsTwiceTheLast() {
    for _ in 0..<5 { #expect(throttle.begin([alice], now: start) == nil) }
    var now = start
    for wait in [15, 30, 60, 120, 240, 480, 900, 900, 900] {
      #expect(throttle.begin([alice], now: now)?.seconds == wait)
      #expect(throttle.begin([alice], now: now + .seconds(wait) - .milliseconds(1))?.seconds == 1)
      now += .seconds(wait)
      #expect(throttle.begin([alice], now: now) == nil)
    }
  }

  @Test func othersDoNotWait() {
    for _ in 0..<5 { _ = throttle.begin([alice], now: start) }
    #expect(throttle.begin([alice], now: start) != nil)
    #expect(throttle.begin([bob], now: start) == nil)
  }

  /// Otherwise those who ask at once, before the first has failed, would all get through.
  @Test func attemptsCountBeforeTheyFail() async {
    let allowed = await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<200 { group.addTask { throttle.begin([alice], now: start) == nil } }
      return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
    }
    #expect(allowed == 5)
  }

  @Test func aSuccessClearsAnEmailAddressButOnlyTakesItselfBackFromAnAddress() {
    let address = AttemptThrottle.Subject.address([192, 0, 2, 1])
    for _ in 0..<4 { #expect(throttle.begin([address, alice], now: start) == nil) }
    #expect(throttle.begin([address, alice], now: start) == nil)
    throttle.succeeded([address, alice], now: start)
    for _ in 0..<5 { #expect(throttle.begin([alice], now: start) == nil) }
    #expect(throttle.begin([alice], now: start)?.seconds == 15)
    // Four failures are on the address still; sixteen more are free.
    for _ in 0..<16 { #expect(throttle.begin([address], now: start) == nil) }
    #expect(throttle.begin([address], now: start)?.seconds == 15)
  }

  @Test func aDeviceWaitsForItsOwnFailuresOnly() {
    let (device, other) = (AttemptThrottle.Subject.device([1]), AttemptThrottle.Subject.device([2]))
    for _ in 0..<5 { _ = throttle.begin([alice], now: start) }
    for _ in 0..<5 { #expect(throttle.begin([device], now: start) == nil) }
    #expect(throttle.begin([device], now: start)?.seconds == 15)
    #expect(throttle.begin([other], now: start) == nil)
    throttle.succeeded([device], now: start)
    #expect(throttle.begin([device], now: start) == nil)
    #expect(throttle.begin([alice], now: start)?.seconds == 15)
  }

  /// Otherwise whoever makes up email addresses could fill the memory.
  @Test func thoseNotSeenForLongestAreForgotten() {
    let small = AttemptThrottle(subjects: 4)
    for _ in 0..<5 { _ = small.begin([alice], now: start) }
    #expect(small.begin([alice], now: start)?.seconds == 15)
    for number in 0..<4 { _ = small.begin([.device([UInt8(number)])], now: start) }
    #expect(small.begin([alice], now: start) == nil)
  }

  @Test func whatCouldNotBeTriedCountsForNothing() {
    for _ in 0..<50 {
      #expect(throttle.begin([alice], now: start) == nil)
      throttle.withdraw([alice], now: start)
    }
  }

  @Test func anHourWithoutAnAttemptIsForgotten() {
    for _ in 0..<5 { _ = throttle.begin([alice], now: start) }
    let later = start + .seconds(15 + 3600)
    for _ in 0..<5 { #expect(throttle.begin([alice], now: later) == nil) }
    #expect(throttle.begin([alice], now: later)?.seconds == 15)
  }

  @Test func aRefusedAttemptIsNotCounted() {
    for _ in 0..<5 { _ = throttle.begin([alice], now: start) }
    for _ in 0..<100 { _ = throttle.begin([alice, bob], now: start) }
    #expect(throttle.begin([alice], now: start + .seconds(15)) == nil)
    #expect(throttle.begin([bob], now: start) == nil)
  }
}
