/// Counts as bars, perhaps stacked.
///
/// Bars are placed in percent and everything else in pixels, so that at any width its text has the size of the text
/// around it.
package struct BarChart {
  package struct Bar {
    /// What it says in full.
    package let title: String
    /// What may stand below it.
    package let mark: String
    /// From the bottom up; without a fill of its own, a part has the chart's.
    package let parts: [(fill: String?, count: Int)]

    package init(title: String, mark: String, parts: [(fill: String?, count: Int)]) {
      self.title = title
      self.mark = mark
      self.parts = parts
    }

    var total: Int { parts.reduce(0) { $0 + $1.count } }
  }

  /// One or more.
  let bars: [Bar]
  let label: String
  /// The fills that parts refer to.
  let patterns: String

  package init(bars: [Bar], label: String, patterns: String = "") {
    self.bars = bars
    self.label = label
    self.patterns = patterns
  }

  /// Pixels.
  private static let height = 232.0
  private static let base = 204.0
  private static let top = 22.0
  /// Percent of the width, for the numbers of the axis.
  private static let gutter = 8.0

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

  package var svg: String {
    let ticks = Self.ticks(upTo: bars.map(\.total).max() ?? 0)
    let span = Double(ticks.last ?? 1)
    func y(_ value: Int) -> Double { Self.base - Double(value) / span * (Self.base - Self.top) }
    var out =
      "<svg class=\"chart\" width=\"100%\" height=\"\(Plot.round(Self.height))\" role=\"img\" aria-label=\"\(HTML.escape(label))\">"
    out += "<defs>\(patterns)</defs>"
    for tick in ticks where tick > 0 {
      out +=
        "<line class=\"grid-line\" x1=\"0\" x2=\"100%\" y1=\"\(Plot.round(y(tick)))\" y2=\"\(Plot.round(y(tick)))\"/>"
      out += "<text x=\"0\" y=\"\(Plot.round(y(tick) - 4))\">\(Self.short(tick))</text>"
    }
    let slot = (100 - Self.gutter) / Double(bars.count)
    for (place, bar) in bars.enumerated() where bar.total > 0 {
      out += "<g class=\"bars\"><title>\(HTML.escape(bar.title))</title>"
      var below = 0
      for (fill, count) in bar.parts where count > 0 {
        let upper = y(below + count)
        // A bar of little is still seen.
        let height = max(y(below) - upper, 1)
        let fill = fill.map { " fill=\"\($0)\"" } ?? ""
        out +=
          "<rect\(fill) x=\"\(Plot.round(Self.gutter + (Double(place) + 0.12) * slot))%\" y=\"\(Plot.round(upper))\" width=\"\(Plot.round(slot * 0.76))%\" height=\"\(Plot.round(height))\"/>"
        below += count
      }
      out += "</g>"
    }
    out += "<line class=\"axis\" x1=\"0\" x2=\"100%\" y1=\"\(Plot.round(Self.base))\" y2=\"\(Plot.round(Self.base))\"/>"
    return out + marks(slot) + "</svg>"
  }

  /// The first, some between, and the last; on a narrow screen the ends and the middle.
  private func marks(_ slot: Double) -> String {
    let count = 4
    return (0...count).map { mark in
      let place = (bars.count - 1) * mark / count
      let anchor = mark == 0 ? "start" : mark == count ? "end" : "middle"
      let x = mark == count ? 100 : Self.gutter + (Double(place) + (mark == 0 ? 0 : 0.5)) * slot
      let kind = mark.isMultiple(of: 2) ? "" : " class=\"minor\""
      return
        "<text\(kind) x=\"\(Plot.round(x))%\" y=\"\(Plot.round(Self.base + 19))\" text-anchor=\"\(anchor)\">\(HTML.escape(bars[place].mark))</text>"
    }.joined()
  }
}
