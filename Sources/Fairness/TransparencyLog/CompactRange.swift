/// What is needed to add to a tree of RFC 6962 and to compute its root: the roots of the complete subtrees that the tree
/// consists of, from the left. A tree of n leaves has as many of them as n has ones in binary.
///
/// ```swift
/// var range = CompactRange()
/// for entry in entries { range.append(.leaf(entry)) }
/// range.root == checkpoint.root   // true if these are the log's entries
/// ```
public struct CompactRange: Hashable, Sendable {
  /// The number of leaves.
  public private(set) var size = 0
  /// The roots of the complete subtrees, from the left.
  public private(set) var subtrees: [MerkleHash] = []

  public init() {}

  /// - Returns: nil unless a tree of `size` leaves has as many complete subtrees.
  public init?(size: Int, subtrees: [MerkleHash]) {
    guard size >= 0, size.nonzeroBitCount == subtrees.count else { return nil }
    self.size = size
    self.subtrees = subtrees
  }

  /// Adds a leaf, or the root of a complete subtree of 2 to the power of `level` leaves.
  ///
  /// - Precondition: the number of leaves is a multiple of the subtree's.
  public mutating func append(_ node: MerkleHash, level: Int = 0) {
    precondition(size & (1 << level - 1) == 0)
    subtrees.append(node)
    size += 1 << level
    var rest = size >> level
    while rest & 1 == 0, let right = subtrees.popLast(), let left = subtrees.popLast() {
      subtrees.append(.node(left, right))
      rest >>= 1
    }
  }

  /// The root of the tree.
  public var root: MerkleHash {
    guard let last = subtrees.last else { return LogTree.emptyRoot }
    return subtrees.dropLast().reversed().reduce(last) { .node($1, $0) }
  }
}
