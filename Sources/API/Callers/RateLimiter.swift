import Ledger
import Synchronization

/// Allows each subscriber so many slots a minute: a bucket that holds a minute's worth and fills at a steady rate.
package final class RateLimiter<Subscriber: Hashable & Sendable>: Sendable {
  private struct Bucket {
    /// Below 0 where more was taken than was there.
    var tokens: Double
    var filled: ContinuousClock.Instant
  }

  /// Who waits for as long as it was told finds its slot there, however the fractions were rounded.
  private static var rounding: Double { 1e-9 }

  private let perMinute: Double
  /// The limit as it is told to who has used it up.
  package func policy(_ name: String) -> RateLimitPolicy { RateLimitPolicy(name, quota: Int(perMinute), window: 60) }
  private let buckets: Mutex<BoundedCache<Subscriber, Bucket>>

  /// - Parameters:
  ///   - perMinute: slots a minute; 0 allows all.
  ///   - subscribers: how many to keep count of; those not seen for longest are forgotten, and begin anew.
  package init(perMinute: Int, subscribers: Int = 100_000) {
    self.perMinute = Double(perMinute)
    buckets = Mutex(BoundedCache(capacity: subscribers))
  }

  /// Takes slots. Nil if they were there, else the whole seconds until they are.
  ///
  /// What costs more than a minute's worth waits for a full bucket, and leaves a debt behind.
  package func take(_ slots: Int = 1, for subscriber: Subscriber, now: ContinuousClock.Instant = .now) -> Int? {
    change(subscriber, now) { tokens in
      let needed = min(Double(slots), perMinute)
      guard tokens >= needed - Self.rounding else { return wait(for: needed - tokens) }
      tokens -= Double(slots)
      return nil
    }
  }

  /// The whole seconds until there is a slot; nil if there is one now. Takes none.
  package func wait(for subscriber: Subscriber, now: ContinuousClock.Instant = .now) -> Int? {
    change(subscriber, now) { tokens in tokens >= 1 - Self.rounding ? nil : wait(for: 1 - tokens) }
  }

  /// Takes slots whether they are there or not.
  package func charge(_ slots: Int = 1, to subscriber: Subscriber, now: ContinuousClock.Instant = .now) {
    guard slots > 0 else { return }
    change(subscriber, now) { $0 -= Double(slots) }
  }

  private func wait(for tokens: Double) -> Int {
    max(1, Int(((tokens - Self.rounding) / perMinute * 60).rounded(.up)))
  }

  @discardableResult private func change<Result>(
    _ subscriber: Subscriber, _ now: ContinuousClock.Instant, _ body: (inout Double) -> Result?
  ) -> Result? {
    guard perMinute > 0 else { return nil }
    return buckets.withLock { buckets in
      var bucket = buckets.value(for: subscriber) ?? Bucket(tokens: perMinute, filled: now)
      bucket.tokens = min(perMinute, bucket.tokens + (now - bucket.filled) / .seconds(60) * perMinute)
      bucket.filled = now
      defer { buckets.insert(bucket, for: subscriber) }
      return body(&bucket.tokens)
    }
  }
}
