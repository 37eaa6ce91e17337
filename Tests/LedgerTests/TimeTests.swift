import Ledger
import Testing

@Suite struct TimeTests {
  @Test(
    arguments: [
      (0, 0, 86_400), (1, 0, 86_400), (999, 0, 86_400), (1000, 0, 86_399), (1001, 0, 86_399), (86_398_999, 0, 2),
      (86_399_000, 0, 1), (86_399_999, 0, 1), (86_400_000, 1, 86_400), (-1, -1, 1), (-86_400_000, -1, 86_400),
      (-86_400_001, -2, 1), (1_767_225_599_999, 20453, 1), (1_767_225_600_000, 20454, 86_400),
    ] as [(Milliseconds, Int64, Int)])
  func daysBeginAtMidnightUTC(_ moment: Milliseconds, _ number: Int64, _ secondsLeft: Int) {
    #expect(Day(of: moment) == Day(number: number))
    #expect(Day.secondsLeft(at: moment) == secondsLeft)
  }

  @Test func recordsLiveForADay() {
    let scope = IdempotencyScope(account: AccountID(1), mode: .live, key: [1])
    let record = IdempotencyRecord(
      scope: scope, fingerprint: [], reply: Reply(status: 200, body: []), created: newYear)
    #expect(IdempotencyRecord.lifetime == 86_400_000)
    #expect(!record.isExpired(at: newYear))
    #expect(!record.isExpired(at: newYear + 86_399_999))
    #expect(record.isExpired(at: newYear + 86_400_000))
    #expect(!record.isExpired(at: newYear - 5))  // a clock that was set back
  }
}
