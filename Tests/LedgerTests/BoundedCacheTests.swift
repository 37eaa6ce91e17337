import Ledger
import LedgerSimulation
import Testing

@Suite struct BoundedCacheTests {
  /// What of `keys` is still there, without touching it.
  private func held<Value>(_ cache: BoundedCache<Int, Value>, _ keys: some Sequence<Int>) -> [Int: Value] {
    keys.reduce(into: [:]) { held, key in
      var copy = cache
      held[key] = copy.value(for: key)
    }
  }

  @Test func holdsNoMoreThanItsCapacity() {
    var cache = BoundedCache<Int, Int>(capacity: 100)
    for key in 0..<1000 {
      cache.insert(key, for: key)
      if key % 7 == 0 { #expect(held(cache, 0...key).count <= 100) }
    }
    // The last half of the capacity is there for certain.
    #expect((950..<1000).allSatisfy { held(cache, 950..<1000)[$0] == $0 })
  }

  @Test func countsByCost() {
    var random = SplitMix64(state: announcedSeed())
    var cache = BoundedCache<Int, Int>(capacity: 1000)
    for step in 0..<3000 {
      let key = random.int(0...400)
      if random.chance(50) {
        let cost = random.int(1...60)
        cache.insert(cost, for: key, cost: cost)
      } else {
        _ = cache.value(for: key)
      }
      if step % 50 == 0 { #expect(held(cache, 0...400).values.reduce(0, +) <= 1000) }
    }
  }

  /// The new value counts, not the one it takes the place of.
  @Test func replacingCountsTheNewCost() {
    var cache = BoundedCache<Int, Int>(capacity: 100)
    for key in 0..<40 { cache.insert(1, for: key, cost: 1) }
    for key in 0..<40 { cache.insert(9, for: key, cost: 9) }
    #expect(held(cache, 0..<40).values.reduce(0, +) <= 100)
  }

  @Test func whatIsTooLargeIsNotKept() {
    var cache = BoundedCache<Int, String>(capacity: 100)
    cache.insert("small", for: 0, cost: 50)
    cache.insert("other", for: 1, cost: 1)
    #expect(cache.value(for: 0) == "small")
    cache.insert("large", for: 0, cost: 51)  // nor is what it should have taken the place of
    #expect(held(cache, 0...1) == [1: "other"])
  }

  @Test func whatIsUsedStays() {
    var cache = BoundedCache<Int, String>(capacity: 10)
    cache.insert("kept", for: -1)
    for key in 0..<1000 {
      cache.insert("other", for: key)
      #expect(cache.value(for: -1) == "kept")
    }
    #expect(held(cache, 0..<900).isEmpty)
  }

  @Test func theNewestValueCounts() {
    var cache = BoundedCache<Int, Int>(capacity: 10)
    for round in 0..<100 {
      cache.insert(round, for: 0)
      cache.insert(round, for: round + 1)
      #expect(cache.value(for: 0) == round)
    }
    cache.removeAll()
    #expect(held(cache, 0...100).isEmpty)
    cache.insert(7, for: 7)
    #expect(cache.value(for: 7) == 7)
  }
}
