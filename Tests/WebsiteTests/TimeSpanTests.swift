import Testing
import Website

@Suite struct TimeSpanTests {
  @Test(arguments: [
    ("1970-01-02", 86_400_000, 172_799_999), ("1970-01-01T00:00", 0, 59_999),
    ("1970-01-02T23:59", 172_740_000, 172_799_999),
  ])
  func aDayOrAMinute(text: String, first: Int64, last: Int64) {
    #expect(TimeSpan.range(text) == first...last)
  }

  @Test(arguments: [
    "", "T", "1970-01-02T", "1970-02-30", "1970-01-02T24:00", "1970-01-02T12:60", "1970-01-02T1:00",
    "1970-01-02T12:00:00",
    "1970-01-02 12:00", "1970-01-02T12:00T", "1970-01-02T-1:00", "1970-01-02T１２:00",
  ])
  func nothingElse(text: String) {
    #expect(TimeSpan.range(text) == nil)
  }
}
