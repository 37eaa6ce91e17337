import Ledger
import LedgerSimulation
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

  @Test(
    arguments: [
      ("1970-01-01", 0), ("1969-12-31", -1), ("2000-02-29", 11016), ("2000-03-01", 11017), ("2026-01-01", 20454),
      ("2100-02-28", 47540), ("2100-03-01", 47541), ("0001-01-01", -719_162), ("9999-12-31", 2_932_896),
    ] as [(String, Int64)])
  func daysAreWrittenByTheCalendar(_ text: String, _ number: Int64) {
    #expect(Day(text) == Day(number: number))
    #expect(Day(number: number).description == text)
  }

  @Test(
    arguments: [
      ("1970-01-01", 0), ("2026-01-01", 1_767_225_600_000), ("2026-01-01T00:00Z", 1_767_225_600_000),
      ("2026-01-01T23:59:58Z", 1_767_311_998_000), ("2026-01-01T23:59:58.007Z", 1_767_311_998_007),
      ("9999-12-31T23:59:59.999Z", 253_402_300_799_999), ("1969-12-31", nil), ("2026-02-29", nil),
      ("2026-01-01T24:00Z", nil), ("2026-01-01T00:60Z", nil), ("2026-01-01T00:00:60Z", nil), ("2026-01-01T00:00", nil),
      ("2026-01-01T", nil), ("2026-01-01T00:00:00.01Z", nil), ("2026-01-01T1:00Z", nil), ("", nil), ("T00:00Z", nil),
    ] as [(String, Milliseconds?)])
  func momentsAreReadAsTheyAreWritten(_ text: String, _ moment: Milliseconds?) {
    #expect(Milliseconds(iso8601: text) == moment)
  }

  @Test func daysFollowOneAnother() {
    var texts: Set<String> = []
    for number in -1000..<50_000 as Range<Int64> {
      let day = Day(number: number)
      #expect(Day(day.description) == day)
      #expect(Day(of: day.start) == day && Day(of: day.end - 1) == day && Day(of: day.end) == day.next)
      #expect(day.next.previous == day)
      texts.insert(day.description)
    }
    #expect(texts.count == 51_000)
  }

  @Test(
    arguments: [
      "", "2026", "2026-02-30", "2026-02-29", "2100-02-29", "2026-13-01", "2026-00-01", "2026-01-00", "2026-01-32",
      "2026-1-1", "2026-01-1", "26-01-01", "2026/01/01", "2026-01-01 ", " 2026-01-01", "+026-01-01", "2026-01-01T00:00",
      "0000-01-01", "２026-01-01", "2026-0x-01", "-026-01-01",
    ])
  func whatIsNoDayIsNotRead(_ text: String) { #expect(Day(text) == nil) }

  @Test func aRetentionIsFromADayToForever() throws {
    let hour: Milliseconds = 3_600_000
    #expect(IdempotencyRetention(24 * hour - 1) == nil && IdempotencyRetention(36_500 * 24 * hour + 1) == nil)
    #expect(IdempotencyRetention(-1) == nil && IdempotencyRetention(.max) == nil)
    #expect(IdempotencyRetention(nil) == .forever && IdempotencyRetention(7 * 24 * hour) == .week)
    let day = try #require(IdempotencyRetention(24 * hour))
    #expect(day.end(of: newYear) == newYear + 24 * hour && day.limit(at: newYear) == newYear - 24 * hour)
    #expect(
      IdempotencyRetention.forever.end(of: newYear) == nil && IdempotencyRetention.forever.limit(at: newYear) == nil)
  }
}
