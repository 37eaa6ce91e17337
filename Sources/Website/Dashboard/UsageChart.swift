import Fairness
import Ledger

/// Outcomes by day and endpoint as stacked bars.
///
/// Bars are placed in percent and everything else in pixels, so that at any width its text has the size of the text
/// around it. Endpoints are told apart by colour and by pattern, and stand in the legend in the order of the stacks.
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

  /// Pixels.
  private static let height = 232.0
  private static let base = 204.0
  private static let top = 22.0
  /// Percent of the width, for the numbers of the axis.
  private static let gutter = 8.0

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

  // MARK: Axes

  /// Round numbers from 0 to at least `greatest`, evenly spaced: steps of 1, 2 or 5 times a power of ten, 5 at the most.
  package static func ticks(upTo greatest: Int) -> [Int] {
    var step = 1
    var factors = [2, 5, 10]
    var unit = 1
    while step * 4 < greatest {
      if factors.isEmpty {
        unit *= 10
        factors = [2, 5, 10]
      }
      step = unit * factors.removeFirst()
    }
    let count = max((greatest + step - 1) / step, 1)
    return (0...count).map { $0 * step }
  }

  /// A tick's number in few characters: `1.5k`, `20M`.
  package static func short(_ number: Int) -> String {
    for (size, letter) in [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")] where number >= size {
      let tenths = number / (size / 10)
      return tenths % 10 == 0 ? "\(tenths / 10)\(letter)" : "\(tenths / 10).\(tenths % 10)\(letter)"
    }
    return String(number)
  }

  // MARK: Drawing

  /// The chart; without any use, its axes alone.
  package var svg: String {
    let greatest = days.map(\.total).max() ?? 0
    let ticks = Self.ticks(upTo: greatest)
    let span = Double(ticks.last ?? 1)
    func y(_ value: Int) -> Double { Self.base - Double(value) / span * (Self.base - Self.top) }
    let label =
      "Draws on each of \(days.count) days, \(days.first?.day.description ?? "") to \(days.last?.day.description ?? ""): \(total) in all, at most \(greatest) on one day. The table below has every number."
    var out =
      "<svg class=\"chart\" width=\"100%\" height=\"\(Plot.round(Self.height))\" role=\"img\" aria-label=\"\(HTML.escape(label))\">"
    out += "<defs>" + endpoints.map(Self.pattern).joined() + "</defs>"
    for tick in ticks where tick > 0 {
      out +=
        "<line class=\"grid-line\" x1=\"0\" x2=\"100%\" y1=\"\(Plot.round(y(tick)))\" y2=\"\(Plot.round(y(tick)))\"/>"
      out += "<text x=\"0\" y=\"\(Plot.round(y(tick) - 4))\">\(Self.short(tick))</text>"
    }
    let slot = (100 - Self.gutter) / Double(days.count)
    for (place, day) in days.enumerated() where day.total > 0 {
      let parts = endpoints.compactMap { endpoint in day.counts[endpoint].map { "\(endpoint.name) \($0)" } }
      out += "<g><title>\(day.day): \(day.total) (\(parts.joined(separator: ", ")))</title>"
      var below = 0
      for endpoint in endpoints {
        guard let count = day.counts[endpoint] else { continue }
        let upper = y(below + count)
        // A day on which little was drawn is still seen.
        let height = max(y(below) - upper, 1)
        out +=
          "<rect fill=\"url(#fill-\(endpoint.name))\" x=\"\(Plot.round(Self.gutter + (Double(place) + 0.12) * slot))%\" y=\"\(Plot.round(upper))\" width=\"\(Plot.round(slot * 0.76))%\" height=\"\(Plot.round(height))\"/>"
        below += count
      }
      out += "</g>"
    }
    out += "<line class=\"axis\" x1=\"0\" x2=\"100%\" y1=\"\(Plot.round(Self.base))\" y2=\"\(Plot.round(Self.base))\"/>"
    // The first, some between, and the last; on a narrow screen the ends and the middle.
    let marks = 4
    for mark in 0...marks {
      let place = (days.count - 1) * mark / marks
      let anchor = mark == 0 ? "start" : mark == marks ? "end" : "middle"
      let x = mark == marks ? 100 : Self.gutter + (Double(place) + (mark == 0 ? 0 : 0.5)) * slot
      let kind = mark.isMultiple(of: 2) ? "" : " class=\"minor\""
      out +=
        "<text\(kind) x=\"\(Plot.round(x))%\" y=\"\(Plot.round(Self.base + 19))\" text-anchor=\"\(anchor)\">\(Self.date(days[place].day))</text>"
    }
    return out + "</svg>"
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
