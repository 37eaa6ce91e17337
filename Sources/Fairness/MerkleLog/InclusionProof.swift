/// Shows that a leaf stands at a place in a Merkle tree: its sibling and its ancestors' siblings, from the leaves up.
///
/// Where a level repeats its last node and that node is an ancestor, the sibling is the node itself, on the right.
public struct InclusionProof: Sendable, Equatable {
  /// The leaf's place, from 0.
  public let index: Int
  public let leafCount: Int
  public let siblings: [MerkleHash]

  public init(index: Int, leafCount: Int, siblings: [MerkleHash]) {
    self.index = index
    self.leafCount = leafCount
    self.siblings = siblings
  }

  /// Whether the sibling of a level stands on the left.
  public func isLeft(atLevel level: Int) -> Bool { index >> level & 1 == 1 }

  public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// No tree has a leaf there.
    case indexOutOfRange(index: Int, leafCount: Int)
    /// A proof has as many siblings as the tree is high.
    case wrongLength(siblings: Int, height: Int)
    /// The sibling of a repeated node must be that node.
    case notRepeated(level: Int)
    /// No other node is equal to the one beside it.
    case repeated(level: Int)
    case differentRoot(computed: MerkleHash, expected: MerkleHash)

    public var description: String {
      switch self {
      case .indexOutOfRange(let index, let leafCount): "index \(index) is not in a tree of \(leafCount) leaves"
      case .wrongLength(let siblings, let height):
        "the proof has \(siblings) siblings, and a tree of that many leaves is \(height) high"
      case .notRepeated(let level): "the sibling at level \(level) must be the repeated last node, and is another"
      case .repeated(let level): "the sibling at level \(level) must be another node than the one beside it"
      case .differentRoot(let computed, let expected): "the proof leads to the root \(computed), not to \(expected)"
      }
    }
  }

  /// Computes the root from `leaf` and the siblings, and compares.
  ///
  /// - Throws: ``Failure`` unless the leaf stands at ``index`` in the one tree of ``leafCount`` leaves with this root.
  public func verify(_ leaf: MerkleHash, root: MerkleHash) throws(Failure) {
    let shape = MerkleShape(leafCount: max(leafCount, 0))
    guard index >= 0, index < leafCount else { throw .indexOutOfRange(index: index, leafCount: leafCount) }
    guard siblings.count == shape.height else {
      throw .wrongLength(siblings: siblings.count, height: shape.height)
    }
    var node = leaf
    for (level, sibling) in siblings.enumerated() {
      if isLeft(atLevel: level) {
        // Else a tree with a repeated node could pass for one that has the node twice.
        guard sibling != node else { throw .repeated(level: level) }
        node = .node(sibling, node)
      } else {
        let isLast = index >> level == shape.count(atLevel: level) - 1
        guard !isLast || sibling == node else { throw .notRepeated(level: level) }
        node = .node(node, sibling)
      }
    }
    guard node == root else { throw .differentRoot(computed: node, expected: root) }
  }
}
