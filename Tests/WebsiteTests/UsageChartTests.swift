import Accounts
import Fairness
import Ledger
import Testing
import Website

@Suite struct UsageChartTests {
  @Test(
    arguments: [
      (0, [0, 1]), (1, [0, 1]), (3, [0, 1, 2, 3]), (4, [0, 1, 2, 3, 4]), (5, [0, 2, 4, 6]), (10, [0, 5, 10]),
      (17, [0, 5, 10, 15, 20]), (20, [0, 5, 10, 15, 20]), (21, [0, 10, 20, 30]), (99, [0, 50, 100]),
      (9_999, [0, 5_000, 10_000]), (123_456, [0, 50_000, 100_000, 150_000]),
    ])
  func ticksAreRoundNumbers(greatest: Int, ticks: [Int]) {
    #expect(BarChart.ticks(upTo: greatest) == ticks)
  }

  @Test func ticksReachWhatIsDrawn() {
    for greatest in [0, 1, 2, 7, 11, 38, 401, 999, 1_001, 65_536, 10_000_000, Int(Int32.max)] {
      let ticks = BarChart.ticks(upTo: greatest)
      #expect((2...6).contains(ticks.count) && ticks[0] == 0)
      #expect(ticks[ticks.count - 1] >= max(greatest, 1))
      #expect(Set(zip(ticks, ticks.dropFirst()).map { $1 - $0 }).count == 1)
      #expect(ticks[ticks.count - 2] < max(greatest, 1), "no tick more than it takes")
    }
  }

  @Test(arguments: [(0, "0"), (999, "999"), (1_000, "1k"), (1_500, "1.5k"), (20_000, "20k"), (5_000_000, "5M")])
  func ticksAreShort(number: Int, text: String) {
    #expect(BarChart.short(number) == text)
  }

  @Test func daysWithoutADrawHaveTheirPlace() {
    let days = Day(number: 100)...Day(number: 159)
    let chart = UsageChart(
      [
        DailyUsage(day: Day(number: 159), endpoint: .ints, count: 3),
        DailyUsage(day: Day(number: 100), endpoint: .dice, count: 5),
        DailyUsage(day: Day(number: 100), endpoint: .ints, count: 2),
        DailyUsage(day: Day(number: 99), endpoint: .bytes, count: 1000),
      ], days: days)
    #expect(chart.days.count == 60)
    #expect(chart.endpoints == [.ints, .dice], "in the order of the API, and only what was used")
    #expect(chart.total == 10 && chart.total(of: .ints) == 5)
    #expect(chart.days.first?.total == 7 && chart.days.last?.total == 3)
  }

  @Test func theChartSaysWhatItShows() {
    let days = Day(number: 100)...Day(number: 159)
    let empty = UsageChart([], days: days).svg(byEndpoint: false)
    #expect(empty.contains("role=\"img\"") && empty.contains("0 in all") && !empty.contains("nan"))
    let usage = UsageChart(
      Endpoint.allCases.map { DailyUsage(day: Day(number: 120), endpoint: $0, count: 10) }, days: days)
    let chart = usage.svg(byEndpoint: true)
    #expect(chart.contains("80 in all, at most 80 on one day"))
    #expect(chart.contains("<title>1970-05-01: 80 (floats 10, ints 10, shuffle 10"))
    for endpoint in Endpoint.allCases {
      #expect(chart.contains("<pattern id=\"fill-\(endpoint.name)\""))
      #expect(chart.contains("fill=\"url(#fill-\(endpoint.name))\""))
    }
    #expect(!chart.contains("style="), "the content policy allows none")
    let totals = usage.svg(byEndpoint: false)
    #expect(totals.contains("80 in all, at most 80 on one day") && totals.contains("<title>1970-05-01: 80</title>"))
    #expect(totals.ranges(of: "<rect").count == 1 && !totals.contains("fill="), "one hue")
  }
}
