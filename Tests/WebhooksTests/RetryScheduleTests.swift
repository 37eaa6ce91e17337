import Ledger
import Testing
import Webhooks

@Suite struct RetryScheduleTests {
  @Test func pausesDoubleWithJitterUpToThreeHours() throws {
    var random = SystemRandomNumberGenerator()
    for (attempts, pause) in [
      (1, 5_000), (2, 10_000), (5, 80_000), (11, 5_120_000), (12, 10_240_000), (13, 10_800_000),
    ] {
      var seen: Set<Milliseconds> = []
      for _ in 0..<200 {
        let next = try #require(RetrySchedule.next(after: attempts, since: 0, now: 1000, using: &random)) - 1000
        #expect((Int64(pause) * 3 / 4...Int64(pause) * 5 / 4).contains(next))
        seen.insert(next)
      }
      #expect(seen.count > 100)
    }
  }

  @Test func itEndsWithinADay() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<100 {
      var now: Milliseconds = 0
      var attempts = 1
      while let next = RetrySchedule.next(after: attempts, since: 0, now: now, using: &random) {
        #expect(next > now && next <= 24 * 3_600_000)
        now = next
        attempts += 1
      }
      #expect((15...30).contains(attempts))
      #expect(now > 20 * 3_600_000)
    }
  }

  @Test func oneMadeLongAgoIsTriedOnce() {
    var random = SystemRandomNumberGenerator()
    #expect(RetrySchedule.next(after: 1, since: 0, now: 30 * 3_600_000, using: &random) == nil)
    #expect(RetrySchedule.next(after: 400, since: 0, now: 0, using: &random) != nil)
  }
}
