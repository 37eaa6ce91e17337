/// A Merkle tree, built leaf by leaf from left to right in memory of the order of its height.
///
/// The leaves are level 0. Two neighbours of a level make a node of the next; a level of an odd number of nodes, unless
/// it is the root alone, repeats its last one. A tree of one leaf has that leaf as its root; a tree of none has no root.
///
/// Because of the repetition some trees of different sizes have the same root. A root therefore says nothing without
/// its number of leaves, and ``InclusionProof`` asks for it.
///
/// ```swift
/// var tree = MerkleTree()
/// for leaf in leaves { tree.append(leaf.hash) }
/// print(tree.leafCount, tree.root()?.description ?? "")
/// ```
public struct MerkleTree: Sendable {
  public private(set) var leafCount = 0
  /// For each level the node that has no right neighbour yet. Level k has one if bit k of `leafCount` is set.
  private var waiting: [MerkleHash?] = []

  public init() {}

  public var shape: MerkleShape { MerkleShape(leafCount: leafCount) }

  /// Adds a leaf to the right of all others.
  ///
  /// - Parameter made: called with the leaf and with each node that it completes, and their levels. The nodes of a
  ///   level come from left to right.
  public mutating func append(_ leaf: MerkleHash, made: (_ level: Int, MerkleHash) -> Void = { _, _ in }) {
    var node = leaf
    var level = 0
    made(level, node)
    while level < waiting.count, let left = waiting[level] {
      waiting[level] = nil
      node = .node(left, node)
      level += 1
      made(level, node)
    }
    if level == waiting.count { waiting.append(nil) }
    waiting[level] = node
    leafCount += 1
  }

  /// The root of the leaves so far, nil if there are none.
  ///
  /// - Parameter made: called with the nodes at the right edge that the repetitions complete, including the root. Each
  ///   comes after the nodes of its level that ``append(_:made:)`` passed.
  public func root(made: (_ level: Int, MerkleHash) -> Void = { _, _ in }) -> MerkleHash? {
    let height = shape.height
    var edge: MerkleHash?  // the last node of the level, if it took a repetition to complete it
    for level in 0..<height {
      switch (waiting[level], edge) {
      case (nil, nil): continue
      case (let last?, nil): edge = .node(last, last)
      case (nil, let last?): edge = .node(last, last)
      case (let left?, let last?): edge = .node(left, last)
      }
      if let edge { made(level + 1, edge) }
    }
    return edge ?? (leafCount == 0 ? nil : waiting[height])
  }
}

/// How many nodes a Merkle tree has, and where: all that follows from the number of its leaves.
public struct MerkleShape: Sendable, Equatable {
  /// 0 or more.
  public let leafCount: Int

  public init(leafCount: Int) {
    precondition(leafCount >= 0)
    self.leafCount = leafCount
  }

  /// How many levels there are above the leaves, which is the number of siblings in a proof: 0 for one leaf and for none.
  public var height: Int { leafCount < 2 ? 0 : Int.bitWidth - (leafCount - 1).leadingZeroBitCount }

  /// How many nodes a level has, repetitions not counted.
  public func count(atLevel level: Int) -> Int {
    (leafCount >> level) + (leafCount & ((1 << level) - 1) == 0 ? 0 : 1)
  }
}
