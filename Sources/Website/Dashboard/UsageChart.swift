import Accounts
import Fairness
import Ledger

/// Outcomes of some days, as bars: a day's total, or stacked by endpoint.
///
/// Endpoints are told apart by colour and by pattern, and stand in the legend in the order of the stacks.
package struct UsageChart {
  package struct Bar {
    package let day: Day
    package let counts: [Endpoint: Int]
    package var total: Int { counts.values.reduce(0, +) }
  }

  /// Every day of the range, also without any.
  package let days: [Bar]
  /// Those that were used, from the bottom of the stacks up.
  package let endpoints: [Endpoint]

  package init(_ usage: [DailyUsage], days: ClosedRange<Day>) {
    var counts: [Day: [Endpoint: Int]] = [:]
    for entry in usage where days.contains(entry.day) {
      counts[entry.day, default: [:]][entry.endpoint, default: 0] += entry.count
    }
    self.days = (days.lowerBound.number...days.upperBound.number).map {
      Bar(day: Day(number: $0), counts: counts[Day(number: $0)] ?? [:])
    }
    endpoints = Endpoint.allCases.filter { endpoint in counts.values.contains { $0[endpoint] != nil } }
  }

  package var total: Int { days.reduce(0) { $0 + $1.total } }
  package func total(of endpoint: Endpoint) -> Int { days.reduce(0) { $0 + ($1.counts[endpoint] ?? 0) } }

  /// The chart; without any use, its axes alone.
  package func svg(byEndpoint: Bool) -> String {
    let bars = days.map { day in
      let parts = endpoints.compactMap { endpoint in day.counts[endpoint].map { (endpoint, count: $0) } }
      let told = byEndpoint ? " (" + parts.map { "\($0.name) \($1)" }.joined(separator: ", ") + ")" : ""
      return BarChart.Bar(
        title: "\(day.day): \(day.total)\(told)", mark: Self.date(day.day),
        parts: byEndpoint ? parts.map { ("url(#fill-\($0.name))", $1) } : [(nil, day.total)])
    }
    let label =
      "Draws on each of \(days.count) days, \(days.first?.day.description ?? "") to \(days.last?.day.description ?? ""): \(total) in all, at most \(days.map(\.total).max() ?? 0) on one day. The table below has every number."
    return BarChart(bars: bars, label: label, patterns: byEndpoint ? endpoints.map(Self.pattern).joined() : "").svg
  }

  /// A square of an endpoint's fill, for the legend.
  static func swatch(_ endpoint: Endpoint) -> String {
    "<svg class=\"swatch\" width=\"16\" height=\"16\" aria-hidden=\"true\"><rect width=\"16\" height=\"16\" rx=\"3\" fill=\"url(#fill-\(endpoint.name))\"/></svg>"
  }

  /// What tells a fill apart from others without its colour, by the generator's number from 1.
  private static let marks = [
    "", "<path d=\"M-1 1 1 -1M0 6 6 0M5 7 7 5\"/>", "<path d=\"M0 1.5H6\"/>",
    "<path d=\"M3 1.4A1.6 1.6 0 1 1 2.99 1.4Z\" class=\"dot\"/>", "<path d=\"M1.5 0V6\"/>",
    "<path d=\"M-1 5 1 7M0 0 6 6M5 -1 7 1\"/>", "<path d=\"M0 3H6M3 0V6\"/>", "<path d=\"M0 1.5 3 4.5 6 1.5\"/>",
  ]

  private static func pattern(_ endpoint: Endpoint) -> String {
    let place = (Int(endpoint.rawValue) - 1) % marks.count
    return
      "<pattern id=\"fill-\(endpoint.name)\" class=\"fill fill-\(place + 1)\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><rect width=\"6\" height=\"6\"/>\(marks[place])</pattern>"
  }

  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

  /// `24 May`
  private static func date(_ day: Day) -> String {
    let parts = day.description.split(separator: "-")
    guard parts.count == 3, let month = Int(parts[1]), let number = Int(parts[2]), months.indices.contains(month - 1)
    else { return day.description }
    return "\(number) \(months[month - 1])"
  }
}
