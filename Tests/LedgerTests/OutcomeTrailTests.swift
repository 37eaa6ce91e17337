import Ledger
import Testing

@Suite struct OutcomeTrailTests {
  /// Rows of one chain, numbered in blocks by several servers that take turns: neither rising nor falling.
  private func ids(_ count: Int) -> [Int64] {
    (0..<count).map { Int64([1_000_000, 1, 500_000][$0 / 3 % 3] + $0) }
  }

  @Test(arguments: [1, 2, 3, 7, 100, 1_000]) func everyOutcomeIsReachedInFewSteps(count: Int) {
    let ids = ids(count)
    var trail = OutcomeTrail()
    var links: [Int64: OutcomeTrail.Links] = [:]
    for id in ids { links[id] = trail.append(id) }
    let places = Dictionary(uniqueKeysWithValues: ids.enumerated().map { ($0.element, $0.offset) })
    for (place, id) in ids.enumerated() {
      var here = trail.newest ?? 0
      var steps = 0
      while let known = places[here], known > place {
        let link = links[here]
        here = places[link?.jump ?? 0].map { $0 >= place } == true ? link?.jump ?? 0 : link?.previous ?? 0
        steps += 1
      }
      #expect(here == id)
      #expect(steps <= 40)
    }
  }

  @Test(arguments: [0, 1, 2, 8, 100, 1_000]) func bytesGiveTheTrailBack(count: Int) {
    var trail = OutcomeTrail()
    for id in ids(count) { trail.append(id) }
    #expect(OutcomeTrail(trail.bytes) == trail)
    #expect(trail.bytes.count < 200)
    if count > 0 { #expect(OutcomeTrail(trail.bytes.dropLast()) == nil) }
  }
}

extension OutcomeTrail {
  fileprivate init?(_ bytes: ArraySlice<UInt8>) { self.init(Array(bytes)) }
}
