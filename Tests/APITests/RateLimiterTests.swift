import API
import Testing

@Suite struct RateLimiterTests {
  private let start = ContinuousClock.now

  private func after(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

  @Test func aMinutesWorthAtOnceAndThenASteadyRate() {
    let limiter = RateLimiter<Int>(perMinute: 6)
    for _ in 0..<6 { #expect(limiter.take(for: 1, now: start) == nil) }
    #expect(limiter.take(for: 1, now: start) == 10)
    #expect(limiter.take(for: 1, now: after(9)) == 1)
    #expect(limiter.take(for: 1, now: after(10)) == nil)
    #expect(limiter.take(for: 1, now: after(10)) == 10)
    #expect(limiter.take(for: 2, now: after(10)) == nil)
  }

  @Test func severalSlotsAreTakenTogetherOrNotAtAll() {
    let limiter = RateLimiter<Int>(perMinute: 6)
    #expect(limiter.take(4, for: 1, now: start) == nil)
    #expect(limiter.take(4, for: 1, now: start) == 20)
    #expect(limiter.take(2, for: 1, now: start) == nil)
    #expect(limiter.take(4, for: 1, now: after(40)) == nil)
  }

  @Test func moreThanAMinutesWorthWaitsForAFullBucketAndLeavesADebt() {
    let limiter = RateLimiter<Int>(perMinute: 6)
    #expect(limiter.take(9, for: 1, now: start) == nil)
    #expect(limiter.take(for: 1, now: start) == 40)
    #expect(limiter.take(9, for: 1, now: after(40)) == 50)
    #expect(limiter.take(9, for: 1, now: after(90)) == nil)
  }

  @Test func whatIsChargedIsPaidBack() {
    let limiter = RateLimiter<Int>(perMinute: 6)
    #expect(limiter.wait(for: 1, now: start) == nil)
    limiter.charge(8, to: 1, now: start)
    #expect(limiter.wait(for: 1, now: start) == 30)
    #expect(limiter.wait(for: 1, now: after(29)) == 1)
    #expect(limiter.wait(for: 1, now: after(30)) == nil)
    limiter.charge(0, to: 1, now: after(30))
    #expect(limiter.wait(for: 1, now: after(30)) == nil)
  }

  @Test func zeroIsNoLimit() {
    let limiter = RateLimiter<Int>(perMinute: 0)
    #expect(limiter.take(1_000_000, for: 1, now: start) == nil)
    limiter.charge(1_000_000, to: 1, now: start)
    #expect(limiter.wait(for: 1, now: start) == nil)
  }

  /// The table is bounded: those not seen for longest begin anew.
  @Test func soManySubscribersAndNoMore() {
    let limiter = RateLimiter<Int>(perMinute: 1, subscribers: 100)
    #expect(limiter.take(for: 0, now: start) == nil)
    #expect(limiter.take(for: 0, now: start) == 60)
    for subscriber in 1...100 { #expect(limiter.take(for: subscriber, now: start) == nil) }
    #expect(limiter.take(for: 0, now: start) == nil)
    #expect(limiter.take(for: 100, now: start) == 60)
  }
}
