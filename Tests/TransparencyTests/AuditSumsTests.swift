import Fairness
import Foundation
import Testing
import Transparency

private func digest(_ number: Int) -> LogDigest { LogDigest(of: Array("\(number)".utf8)) }

@Suite struct AuditSumsTests {
  /// The sums of `added`, from which `taken` are taken away, and which are kept in a file in between.
  private func sums(_ added: [(UInt8, Int)], _ taken: [(UInt8, Int)]) throws -> AuditSums {
    var sums = AuditSums()
    for (kind, number) in added { sums.add(sums.mark(kind, digest(number))) }
    sums = try JSONDecoder().decode(AuditSums.self, from: JSONEncoder().encode(sums))
    for (kind, number) in taken { sums.takeAway(sums.mark(kind, digest(number))) }
    return sums
  }

  @Test func pilesThatAreTheSameCancelOut() throws {
    let pile = (0..<5_000).map { (UInt8($0 % 2), $0) }
    #expect(try sums(pile, pile.reversed()).differing == [])
    #expect(try sums([], []).differing == [])
  }

  @Test func whatDiffersIsInItsBucket() throws {
    let pile = (0..<5_000).map { (UInt8(2), $0) }
    for number in [0, 17, 4_999] {
      let found = try sums(pile, pile.filter { $0.1 != number })
      #expect(found.differing == [found.mark(2, digest(number)).bucket])
    }
    // Twice is not once, and a digest of another kind is another.
    #expect(try sums([(2, 1), (2, 1)], [(2, 1)]).differing.count == 1)
    #expect(try !sums([(2, 1)], [(3, 1)]).differing.isEmpty)
    #expect(try sums([(2, 1), (2, 1)], []).differing.count == 1, "and does not vanish")
  }

  @Test func eachAuditHasAKeyOfItsOwn() {
    let marks = (0..<20).map { _ in AuditSums().mark(2, digest(1)).bucket }
    #expect(Set(marks).count > 1)
  }
}
