import Foundation

/// One die as a picture: pips for six sides, the outline of its solid with a number for the others.
struct Die {
  let sides: Int
  let shows: Int

  /// Inline SVG, to be styled by the page: classes `die` and `pip`. Where there are many dice of six, each refers to its
  /// face in ``faces(of:)``.
  func svg(refersToFace: Bool = false) -> String {
    let content = refersToFace ? "<use href=\"#face-\(shows)\"/>" : shape
    return "<svg viewBox=\"0 0 64 64\" role=\"img\" aria-label=\"\(shows) of \(sides)\">\(content)</svg>"
  }

  /// The faces of a die of six that are among `rolls`, each drawn once, to be referred to.
  static func faces(of rolls: [Int]) -> String {
    let symbols = Set(rolls).sorted().map {
      "<symbol id=\"face-\($0)\" viewBox=\"0 0 64 64\">\(Die(sides: 6, shows: $0).shape)</symbol>"
    }
    return "<svg hidden aria-hidden=\"true\">\(symbols.joined())</svg>"
  }

  /// The shapes alone, in a square of 64.
  var shape: String { outline + (sides == 6 ? pips : number) }

  private var outline: String {
    switch sides {
    case 6: "<rect class=\"die\" x=\"4\" y=\"4\" width=\"56\" height=\"56\" rx=\"11\"/>"
    case 4: polygon(corners: 3, radius: 34, dropped: 7)
    case 8: polygon(corners: 4, radius: 30)
    case 10, 100: "<polygon class=\"die\" stroke-linejoin=\"round\" points=\"32,2 61,28 32,62 3,28\"/>"
    case 12: polygon(corners: 5, radius: 30, dropped: 2)
    case 20: polygon(corners: 6, radius: 30)
    default: "<circle class=\"die\" cx=\"32\" cy=\"32\" r=\"29\"/>"
    }
  }

  private func polygon(corners: Int, radius: Double, dropped: Double = 0) -> String {
    let points = (0..<corners).map { corner in
      let angle = Double(corner) / Double(corners) * 2 * .pi - .pi / 2
      return "\(Plot.round(32 + radius * cos(angle))),\(Plot.round(32 + dropped + radius * sin(angle)))"
    }
    return "<polygon class=\"die\" stroke-linejoin=\"round\" points=\"\(points.joined(separator: " "))\"/>"
  }

  private static let places = [[], [4], [0, 8], [0, 4, 8], [0, 2, 6, 8], [0, 2, 4, 6, 8], [0, 2, 3, 5, 6, 8]]

  private var pips: String {
    guard Self.places.indices.contains(shows) else { return number }
    return Self.places[shows].map { place in
      "<circle class=\"pip\" cx=\"\(18 + place % 3 * 14)\" cy=\"\(18 + place / 3 * 14)\" r=\"4.6\"/>"
    }.joined()
  }

  private var number: String {
    let digits = String(shows)
    let size = [26, 26, 24, 19, 15, 13, 11, 9][min(digits.count, 7)] - (sides == 4 ? 4 : 0)
    let middle = 32.0 + Double(size) * 0.36 + (sides == 4 ? 4 : 0)
    return
      "<text x=\"32\" y=\"\(Plot.round(middle))\" font-size=\"\(size)\" font-weight=\"600\" text-anchor=\"middle\">\(digits)</text>"
  }
}
