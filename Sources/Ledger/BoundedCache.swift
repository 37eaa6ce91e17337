/// A dictionary that stays under a size by forgetting what was not used lately.
///
/// It keeps two generations. What is used is in the young one; when that is full the old one is dropped whole, and the
/// young one grows old. Everything is constant time, and an entry is kept for at least half the capacity's worth of others.
public struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private let capacity: Int
  private var young: [Key: Value] = [:]
  private var old: [Key: Value] = [:]
  private var youngCost = 0

  /// - Parameter capacity: the greatest sum of costs to hold.
  public init(capacity: Int) { self.capacity = capacity }

  public mutating func value(for key: Key, cost: (Value) -> Int = { _ in 1 }) -> Value? {
    if let value = young[key] { return value }
    guard let value = old.removeValue(forKey: key) else { return nil }
    insert(value, for: key, cost: cost(value))
    return value
  }

  public mutating func insert(_ value: Value, for key: Key, cost: Int = 1) {
    if youngCost + cost > capacity / 2 {
      old = young
      young = [:]
      youngCost = 0
    }
    if young.updateValue(value, forKey: key) == nil { youngCost += cost }
  }

  public mutating func removeAll() {
    young = [:]
    old = [:]
    youngCost = 0
  }
}
