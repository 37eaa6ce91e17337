/// A dictionary that stays under a size by forgetting what was not used lately.
///
/// It keeps two generations. What is used is in the young one; when that is full the old one is dropped whole, and the
/// young one grows old. Everything is constant time, and an entry is kept for at least half the capacity's worth of others.
///
/// Inlinable, so that other modules compile it for their own types.
public struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  @usableFromInline struct Entry: Sendable {
    @usableFromInline let value: Value
    @usableFromInline let cost: Int

    @inlinable init(value: Value, cost: Int) {
      self.value = value
      self.cost = cost
    }
  }

  @usableFromInline let capacity: Int
  /// A key is in one of them at the most.
  @usableFromInline var young: [Key: Entry] = [:]
  @usableFromInline var old: [Key: Entry] = [:]
  @usableFromInline var youngCost = 0

  /// - Parameter capacity: the greatest sum of costs to hold.
  @inlinable public init(capacity: Int) { self.capacity = capacity }

  @inlinable public mutating func value(for key: Key) -> Value? {
    if let entry = young[key] { return entry.value }
    guard let entry = old.removeValue(forKey: key) else { return nil }
    insert(entry.value, for: key, cost: entry.cost)
    return entry.value
  }

  /// Keeps `value`, in the place of what `key` had before. What costs more than half the capacity is not kept.
  @inlinable public mutating func insert(_ value: Value, for key: Key, cost: Int = 1) {
    if let index = young.index(forKey: key) {
      let before = young.values[index].cost
      if youngCost - before + cost <= capacity / 2 {
        youngCost += cost - before
        young.values[index] = Entry(value: value, cost: cost)
        return
      }
      youngCost -= before
      young.remove(at: index)
    } else {
      old[key] = nil
    }
    guard cost <= capacity / 2 else { return }
    if youngCost + cost > capacity / 2 {
      swap(&old, &young)
      young.removeAll(keepingCapacity: true)  // to grow a table anew each time would cost more than its entries do
      youngCost = 0
    }
    young[key] = Entry(value: value, cost: cost)
    youngCost += cost
  }

  @inlinable public mutating func removeAll() {
    young = [:]
    old = [:]
    youngCost = 0
  }
}
