/// How long the most recent requests took, and at which routes.
struct ResponseTimes: Sendable {
  /// How many requests are remembered.
  static let window = 1024

  private var samples: [(milliseconds: Double, route: Int)] = []
  private var next = 0

  mutating func add(milliseconds: Double, route: Int) {
    if samples.count < Self.window {
      samples.append((milliseconds, route))
    } else {
      samples[next] = (milliseconds, route)
    }
    next = (next + 1) % Self.window
  }

  struct Summary {
    var count = 0
    var average = 0.0
    var median = 0.0
    var percentile95 = 0.0
    var longest = 0.0
  }

  /// - Parameter route: leaves out all others; nil leaves out none.
  func summary(of route: Int? = nil) -> Summary {
    let sorted = samples.lazy.filter { route == nil || $0.route == route }.map(\.milliseconds).sorted()
    guard let longest = sorted.last else { return Summary() }
    func percentile(_ part: Double) -> Double { sorted[Int((Double(sorted.count - 1) * part).rounded())] }
    return Summary(
      count: sorted.count, average: sorted.reduce(0, +) / Double(sorted.count), median: percentile(0.5),
      percentile95: percentile(0.95), longest: longest)
  }
}
