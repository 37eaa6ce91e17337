/// How often values fell below each of some bounds, with their sum and number: what a Prometheus histogram shows.
public struct Histogram: Sendable, Equatable {
  /// Ascending.
  public let bounds: [Double]
  /// How many values were at most each bound and above the one before; the last is for those above all.
  public private(set) var counts: [Int]
  public private(set) var sum = 0.0

  public init(bounds: [Double]) {
    self.bounds = bounds
    counts = Array(repeating: 0, count: bounds.count + 1)
  }

  public mutating func add(_ value: Double) {
    var index = 0
    while index < bounds.count && value > bounds[index] { index += 1 }
    counts[index] += 1
    sum += value
  }

  public var count: Int { counts.reduce(0, +) }

  /// For times, in seconds: from a quarter of a millisecond to ten seconds.
  public static let seconds = Histogram(
    bounds: [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10])
  /// For sizes: powers of two up to 1024.
  public static let sizes = Histogram(bounds: (0...10).map { Double(1 << $0) })
}
