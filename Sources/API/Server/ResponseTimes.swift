import Synchronization

/// How long the most recent requests took.
final class ResponseTimes: Sendable {
  private struct Ring {
    var samples: [Double] = []
    var next = 0
  }

  private let ring = Mutex(Ring())
  private let size: Int

  /// - Parameter size: how many requests are remembered.
  init(size: Int = 1024) { self.size = size }

  func add(milliseconds: Double) {
    ring.withLock { ring in
      if ring.samples.count < size {
        ring.samples.append(milliseconds)
      } else {
        ring.samples[ring.next] = milliseconds
      }
      ring.next = (ring.next + 1) % size
    }
  }

  struct Summary {
    var count = 0
    var average = 0.0
    var median = 0.0
    var percentile95 = 0.0
    var percentile99 = 0.0
  }

  var summary: Summary {
    let sorted = ring.withLock { $0.samples }.sorted()
    guard !sorted.isEmpty else { return Summary() }
    func percentile(_ part: Double) -> Double { sorted[Int((Double(sorted.count - 1) * part).rounded())] }
    return Summary(
      count: sorted.count, average: sorted.reduce(0, +) / Double(sorted.count), median: percentile(0.5),
      percentile95: percentile(0.95), percentile99: percentile(0.99))
  }
}
