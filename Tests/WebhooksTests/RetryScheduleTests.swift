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

  @Test func itEndsWithinThreeDays() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<100 {
      var now: Milliseconds = 0
      var attempts = 1
      while let next = RetrySchedule.next(after: attempts, since: 0, now: now, using: &random) {
        #expect(next > now && next <= 72 * 3_600_000)
        now = next
        attempts += 1
      }
      #expect((28...60).contains(attempts))
      #expect(now > 68 * 3_600_000)
    }
  }

  @Test func aLongerPauseThatIsAskedForIsMade() {
    var random = SystemRandomNumberGenerator()
    let hour: Milliseconds = 3_600_000
    #expect(RetrySchedule.next(after: 1, since: 0, now: hour, asked: 2 * hour, using: &random) == 3 * hour)
    #expect(RetrySchedule.next(after: 1, since: 0, now: hour, asked: 1000 * hour, using: &random) == 72 * hour)
    #expect(RetrySchedule.next(after: 9, since: 0, now: hour, asked: 0, using: &random) ?? 0 > hour + 900_000)
    #expect(RetrySchedule.next(after: 1, since: 0, now: 73 * hour, asked: hour, using: &random) == nil)
  }

  @Test func whatIsAskedForIsSecondsOrADate() {
    #expect(RetryAfter("120") == .pause(120_000) && RetryAfter(" 0 ") == .pause(0))
    #expect(RetryAfter(String(repeating: "9", count: 40)) == .pause(999_999_999_000))
    #expect(RetryAfter("Thu, 01 Jan 2026 00:00:00 GMT") == .date(1_767_225_600_000))
    #expect(RetryAfter("Thu, 01 Jan 2026 00:00:00 GMT")?.pause(from: 1_767_225_540_000) == 60_000)
    #expect(RetryAfter("Thu, 01 Jan 2026 00:00:00 GMT")?.pause(from: 1_867_225_540_000) == 0)
    for text in ["", "soon", "-1", "1.5", "٣", "2026-01-01"] { #expect(RetryAfter(text) == nil) }
  }

  @Test func oneMadeLongAgoIsTriedOnce() {
    var random = SystemRandomNumberGenerator()
    #expect(RetrySchedule.next(after: 1, since: 0, now: 73 * 3_600_000, using: &random) == nil)
    #expect(RetrySchedule.next(after: 400, since: 0, now: 0, using: &random) != nil)
  }
}
