import Fairness
import Foundation
import JSON
import Ledger

/// Values on their range, as a line with a mark for each, and over it the density they were drawn from, if one is given.
package struct Plot {
  /// The picture and, as text below it, the ends of its range.
  package let html: String

  private static let width = 640.0
  private static let margin = 14.0

  /// Uniform values: a line from `low` to `high`.
  init(low: Double, high: Double, marks: [Double], label: String) {
    html = Self.draw(low: low, high: high, marks: marks, ends: (Self.text(low), Self.text(high)), label: label)
  }

  /// Samples under their density; nil where the numbers are too large to be drawn.
  init?(_ distribution: Distribution, samples: [Double], label: String) {
    let least = samples.min() ?? 0
    let greatest = samples.max() ?? 0
    var low = 0.0
    var high: Double
    let density: (Double) -> Double
    switch distribution {
    case .normal(let mean, let stddev):
      low = min(least, mean - 4 * stddev)
      high = max(greatest, mean + 4 * stddev)
      density = { exp(-0.5 * pow(($0 - mean) / stddev, 2)) }
    case .exponential(let lambda):
      high = max(greatest, 6 / lambda)
      density = { exp(-lambda * $0) }
    case .poisson(let lambda):
      high = max(greatest, (lambda + 4 * lambda.squareRoot()).rounded(.up), 4) + 0.5
      let mode = lambda.rounded(.down)
      let logMode = mode * log(lambda) - lgamma(mode + 1)
      density = { exp($0 * log(lambda) - lgamma($0 + 1) - logMode) }
      low = -0.5
    }
    if high <= low { high = low + 1 }
    guard low.isFinite, high.isFinite, (high - low).isFinite, high > low else { return nil }
    var points: [(Double, Double)] = []
    let isPoisson = distribution.name == .poisson
    if isPoisson {
      // A bar for each count, half a unit to both sides.
      for count in 0...Int(min(high, 200)) {
        let bar = density(Double(count))
        points.append((Double(count) - 0.5, bar))
        points.append((min(Double(count) + 0.5, high), bar))
      }
    } else {
      let steps = 120.0
      for step in stride(from: 0, through: steps, by: 1) {
        let x = low + (high - low) * step / steps
        points.append((x, density(x)))
      }
    }
    guard points.allSatisfy({ $0.1.isFinite }) else { return nil }
    html = Self.draw(
      low: low, high: high, marks: samples,
      ends: isPoisson ? ("0", Self.short(high - 0.5)) : (Self.short(low), Self.short(high)), density: points,
      label: label)
  }

  /// How many entries a log got in each minute of an hour, as bars.
  ///
  /// - Parameter now: the last minute, in Unix time.
  package init(minutesUntil now: Int64, _ growth: [LogMinute]) {
    let counts = growth.reduce(into: [Int64: Int]()) { $0[$1.minute] = $1.size - $1.firstSize }
    let minutes = (now - LogMinute.kept + 1)...now
    let greatest = minutes.compactMap { counts[$0] }.max() ?? 0
    let total = minutes.reduce(0) { $0 + (counts[$1] ?? 0) }
    let label =
      "Entries in each of the last \(LogMinute.kept) minutes: \(total) in all, at most \(greatest) in one minute."
    let (axis, slot) = (96.0, (Self.width - 2 * Self.margin) / Double(LogMinute.kept))
    var out = "<svg viewBox=\"0 0 640 110\" role=\"img\" aria-label=\"\(label)\">"
    for (place, minute) in minutes.enumerated() {
      guard let count = counts[minute], count > 0 else { continue }
      // A minute with few entries is still seen.
      let height = max(Double(count) / Double(greatest) * (axis - 6), 1.5)
      let x = Self.margin + (Double(place) + 0.12) * slot
      out +=
        "<rect class=\"growth\" x=\"\(Self.round(x))\" y=\"\(Self.round(axis - height))\" width=\"\(Self.round(slot * 0.76))\" height=\"\(Self.round(height))\"/>"
    }
    html =
      out
      + "<path class=\"axis\" d=\"M\(Self.round(Self.margin)) \(Self.round(axis))H\(Self.round(Self.width - Self.margin))\"/></svg>"
      + "<p class=\"ends\" aria-hidden=\"true\"><span>an hour ago</span><span>at most \(greatest) a minute</span><span>now</span></p>"
  }

  private static func draw(
    low: Double, high: Double, marks: [Double], ends: (String, String), density: [(Double, Double)] = [],
    label: String
  ) -> String {
    let span = high - low
    func place(_ x: Double) -> String { round(margin + (span > 0 ? (x - low) / span : 0.5) * (width - 2 * margin)) }
    let height = density.isEmpty ? 36.0 : 150.0
    let axis = height - 14
    var out = "<svg viewBox=\"0 0 640 \(round(height))\" role=\"img\" aria-label=\"\(HTML.escape(label))\">"
    if !density.isEmpty {
      let points = density.map { "\(place($0.0)),\(round(axis - 12 - $0.1 * (axis - 24)))" }.joined(separator: " ")
      out +=
        "<polygon class=\"curve\" points=\"\(place(low)),\(round(axis - 12)) \(points) \(place(high)),\(round(axis - 12))\"/>"
    }
    out += "<path class=\"axis\" d=\"M\(round(margin)) \(round(axis))H\(round(width - margin))\"/>"
    for mark in marks {
      out += "<path class=\"mark\" d=\"M\(place(mark)) \(round(axis - 8))v16\"/>"
    }
    out +=
      "</svg><p class=\"ends\" aria-hidden=\"true\"><span>\(HTML.escape(ends.0))</span><span>\(HTML.escape(ends.1))</span></p>"
    return out
  }

  /// Two digits after the point at most: enough for a picture.
  static func round(_ x: Double) -> String {
    let hundredths = (x * 100).rounded()
    guard hundredths.magnitude < 1e15 else { return "0" }
    let whole = Int64(hundredths)
    if whole % 100 == 0 { return String(whole / 100) }
    return String(Double(whole) / 100)
  }

  /// A number as an outcome writes it.
  private static func text(_ x: Double) -> String {
    var text: [UInt8] = []
    text.append(double: x)
    return String(decoding: text, as: UTF8.self)
  }

  /// A number for the end of an axis.
  private static func short(_ x: Double) -> String {
    x.magnitude < 1e6 && x.magnitude >= 0.01 || x == 0 ? round(x) : String(format: "%.2g", x)
  }
}
