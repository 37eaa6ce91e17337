import Ledger
import Synchronization

/// Allows each subscriber so many requests a minute: a bucket that holds a minute's worth and fills at a steady rate.
final class RateLimiter: Sendable {
  private struct Bucket {
    var tokens: Double
    var filled: ContinuousClock.Instant
  }

  private let perMinute: Int
  private let buckets: Mutex<BoundedCache<[UInt8], Bucket>>

  /// - Parameters:
  ///   - perMinute: requests a minute; 0 allows all.
  ///   - subscribers: how many to keep count of; those not seen for longest are forgotten, and begin anew.
  init(perMinute: Int, subscribers: Int = 100_000) {
    self.perMinute = perMinute
    buckets = Mutex(BoundedCache(capacity: subscribers))
  }

  /// Takes one slot. Nil if there was one, else the whole seconds until there is.
  func take(for address: NetworkAddress, now: ContinuousClock.Instant = .now) -> Int? {
    guard perMinute > 0 else { return nil }
    let rate = Double(perMinute) / 60
    return buckets.withLock { buckets in
      var bucket = buckets.value(for: address.subscriber) ?? Bucket(tokens: Double(perMinute), filled: now)
      bucket.tokens = min(Double(perMinute), bucket.tokens + (now - bucket.filled) / .seconds(1) * rate)
      bucket.filled = now
      let allowed = bucket.tokens >= 1
      if allowed { bucket.tokens -= 1 }
      buckets.insert(bucket, for: address.subscriber)
      return allowed ? nil : Int(((1 - bucket.tokens) / rate).rounded(.up))
    }
  }
}
