import Fairness
import Testing

private func leaf(_ number: Int) -> MerkleHash { .leaf(Array("entry \(number)".utf8)) }

private func root(_ size: Int) throws -> MerkleHash {
  let leaves = (0..<size).map(leaf)
  return try LogTree.root(size: size) { Array(leaves.dropFirst($0.number * 256).prefix(256)) }
}

@Suite struct CompactRangeTests {
  @Test func itsRootIsTheTrees() throws {
    var range = CompactRange()
    for size in 0...130 {
      #expect(try range.root == root(size), "\(size)")
      #expect(range.size == size && range.subtrees.count == size.nonzeroBitCount)
      #expect(CompactRange(size: size, subtrees: range.subtrees) == range)
      range.append(leaf(size))
    }
  }

  @Test func completeSubtreesAreAddedAtOnce() {
    for level in 0...4 {
      var (one, other) = (CompactRange(), CompactRange())
      for subtree in 0..<9 {
        var inner = CompactRange()
        for number in (subtree << level)..<((subtree + 1) << level) {
          inner.append(leaf(number))
          one.append(leaf(number))
        }
        other.append(inner.root, level: level)
        #expect(one == other, "level \(level), subtree \(subtree)")
      }
    }
  }

  @Test func aRangeThatCannotBeIsRefused() {
    #expect(CompactRange(size: 5, subtrees: [leaf(0)]) == nil)
    #expect(CompactRange(size: 4, subtrees: [leaf(0), leaf(1)]) == nil)
    #expect(CompactRange(size: -1, subtrees: []) == nil)
    #expect(CompactRange(size: 0, subtrees: []) == CompactRange())
  }
}
