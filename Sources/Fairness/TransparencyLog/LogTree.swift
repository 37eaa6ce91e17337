/// The Merkle tree of RFC 6962, section 2.1: a level of an odd number of nodes passes its last one up as it is, and
/// none is repeated, so that trees of different sizes have different roots. The continuous log is such a tree.
///
/// Roots and proofs are made from the tree's tiles (<https://c2sp.org/tlog-tiles>), of which each is asked for once. The
/// function that gives them is handed a place and answers with the hashes there, from the left. A later and fuller tile
/// does as well: what a tree of the size in question does not have is ignored.
///
/// ```swift
/// let path = try LogTree.inclusionProof(index: 5, size: 70_000) { place in try store.tile(at: place) }
/// LogTree.verifyInclusion(leaf: .leaf(entry), index: 5, size: 70_000, path: path, root: root)   // true
/// ```
public enum LogTree {
  /// The root of the tree that has no leaves: the SHA-256 of no bytes.
  public static let emptyRoot = MerkleHash.ofNothing

  /// The most hashes that a proof in a tree of up to 2⁶³ − 1 leaves has.
  public static let longestProof = 64

  public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// A tile has fewer hashes than the tree has there.
    case tileTooShort(MerkleTile.Place, has: Int, needs: Int)
    /// A tree has 0 leaves or more.
    case negativeSize(Int)
    /// The tree has no leaf of that index.
    case noSuchLeaf(index: Int, size: Int)
    /// The older of two trees has no more leaves than the newer.
    case notOlder(from: Int, to: Int)

    public var description: String {
      switch self {
      case .tileTooShort(let place, let has, let needs):
        "tile \(place.number) of level \(place.level / MerkleTile.depth) has \(has) hashes and needs \(needs)"
      case .negativeSize(let size): "a tree cannot have \(size) leaves"
      case .noSuchLeaf(let index, let size): "a tree of \(size) leaves has no leaf \(index)"
      case .notOlder(let from, let to): "a tree of \(from) leaves is not older than one of \(to)"
      }
    }
  }

  /// The root of the tree of the first `size` leaves; ``emptyRoot`` if there are none.
  ///
  /// - Throws: ``Failure``, and what `tile` throws.
  public static func root(
    size: Int, tile: (MerkleTile.Place) throws -> [MerkleHash]
  ) throws -> MerkleHash {
    guard size >= 0 else { throw Failure.negativeSize(size) }
    guard size > 0 else { return emptyRoot }
    return try withoutActuallyEscaping(tile) { tile in
      var nodes = TiledNodes(size: size, tile: tile)
      return try nodes.root(of: 0..<size)
    }
  }

  /// Shows that a leaf is in a tree: the siblings on its way to the root, from the leaves up (RFC 6962, section 2.1.1).
  ///
  /// - Throws: ``Failure``, and what `tile` throws.
  public static func inclusionProof(
    index: Int, size: Int, tile: (MerkleTile.Place) throws -> [MerkleHash]
  ) throws -> [MerkleHash] {
    guard index >= 0, index < size else { throw Failure.noSuchLeaf(index: index, size: size) }
    return try withoutActuallyEscaping(tile) { tile in
      var nodes = TiledNodes(size: size, tile: tile)
      var range = 0..<size
      var path: [MerkleHash] = []
      while range.count > 1 {
        let middle = split(range)
        if index < middle {
          path.append(try nodes.root(of: middle..<range.upperBound))
          range = range.lowerBound..<middle
        } else {
          path.append(try nodes.root(of: range.lowerBound..<middle))
          range = middle..<range.upperBound
        }
      }
      return path.reversed()
    }
  }

  /// Shows that a tree begins with all the leaves of an older one, in their order (RFC 6962, section 2.1.2). There is
  /// nothing to show, and the proof is empty, if the older one has no leaves or is as large.
  ///
  /// - Throws: ``Failure``, and what `tile` throws.
  public static func consistencyProof(
    from: Int, to: Int, tile: (MerkleTile.Place) throws -> [MerkleHash]
  ) throws -> [MerkleHash] {
    guard from >= 0, from <= to else { throw Failure.notOlder(from: from, to: to) }
    guard from > 0, from < to else { return [] }
    return try withoutActuallyEscaping(tile) { tile in
      var nodes = TiledNodes(size: to, tile: tile)
      var range = 0..<to
      var path: [MerkleHash] = []
      while from != range.upperBound {
        let middle = split(range)
        if from <= middle {
          path.append(try nodes.root(of: middle..<range.upperBound))
          range = range.lowerBound..<middle
        } else {
          path.append(try nodes.root(of: range.lowerBound..<middle))
          range = middle..<range.upperBound
        }
      }
      // Whoever checks the proof has the old root already, if what is left is all of the old tree.
      if range.lowerBound > 0 { path.append(try nodes.root(of: range)) }
      return path.reversed()
    }
  }

  /// Whether `leaf` stands at `index` in the tree of `size` leaves that has this root.
  ///
  /// - Parameter leaf: ``MerkleHash/leaf(_:)`` of the entry.
  public static func verifyInclusion(
    leaf: MerkleHash, index: Int, size: Int, path: [MerkleHash], root: MerkleHash
  ) -> Bool {
    guard index >= 0, index < size, path.count <= longestProof else { return false }
    var node = leaf
    var (at, last) = (index, size - 1)
    for sibling in path {
      guard last > 0 else { return false }
      if at & 1 == 1 || at == last {
        node = .node(sibling, node)
        skip(&at, &last)
      } else {
        node = .node(node, sibling)
      }
      at >>= 1
      last >>= 1
    }
    return last == 0 && node == root
  }

  /// Whether the tree of `to` leaves that has the root `newRoot` begins with the leaves of the one of `from` leaves that
  /// has the root `oldRoot`.
  public static func verifyConsistency(
    from: Int, to: Int, oldRoot: MerkleHash, newRoot: MerkleHash, path: [MerkleHash]
  ) -> Bool {
    guard from >= 0, from <= to, path.count <= longestProof else { return false }
    guard from > 0 else { return path.isEmpty && oldRoot == emptyRoot && (to > 0 || newRoot == emptyRoot) }
    guard from < to else { return path.isEmpty && oldRoot == newRoot }
    var (at, last) = (from - 1, to - 1)
    while at & 1 == 1 {
      at >>= 1
      last >>= 1
    }
    var rest = path[...]
    // A whole subtree that is all of the old tree is not in the proof.
    guard let first = at == 0 ? oldRoot : rest.popFirst() else { return false }
    var (old, new) = (first, first)
    for sibling in rest {
      guard last > 0 else { return false }
      if at & 1 == 1 || at == last {
        old = .node(sibling, old)
        new = .node(sibling, new)
        skip(&at, &last)
      } else {
        new = .node(new, sibling)
      }
      at >>= 1
      last >>= 1
    }
    return last == 0 && old == oldRoot && new == newRoot
  }

  /// Goes up from a node that has no right sibling to the level at which it is a right one.
  private static func skip(_ at: inout Int, _ last: inout Int) {
    while at & 1 == 0, at != 0 {
      at >>= 1
      last >>= 1
    }
  }

  /// Where a tree of two leaves or more divides: its left half is the largest whole subtree.
  fileprivate static func split(_ range: Range<Int>) -> Int {
    range.lowerBound + 1 << (Int.bitWidth - 1 - (range.count - 1).leadingZeroBitCount)
  }
}

/// The nodes of a tree, worked out from its tiles.
private struct TiledNodes {
  /// How many leaves the tree has.
  let size: Int
  let tile: (MerkleTile.Place) throws -> [MerkleHash]
  private var known: [MerkleTile.Place: [MerkleHash]] = [:]

  init(size: Int, tile: @escaping (MerkleTile.Place) throws -> [MerkleHash]) {
    self.size = size
    self.tile = tile
  }

  /// The root of a range of leaves into which the tree divides.
  mutating func root(of range: Range<Int>) throws -> MerkleHash {
    if range.count & (range.count - 1) == 0 {
      let level = range.count.trailingZeroBitCount
      return try node(level: level, index: range.lowerBound >> level)
    }
    let middle = LogTree.split(range)
    return .node(try root(of: range.lowerBound..<middle), try root(of: middle..<range.upperBound))
  }

  /// The root of the whole subtree of 2 to the power of `level` leaves, `index` from the left.
  private mutating func node(level: Int, index: Int) throws -> MerkleHash {
    let height = level % MerkleTile.depth
    let first = index << height
    let hashes = try hashes(at: .init(level: level - height, number: first / MerkleTile.width))
    let start = first % MerkleTile.width
    var nodes = Array(hashes[start..<(start + 1 << height)])
    while nodes.count > 1 {
      nodes = stride(from: 0, to: nodes.count, by: 2).map { .node(nodes[$0], nodes[$0 + 1]) }
    }
    return nodes[0]
  }

  private mutating func hashes(at place: MerkleTile.Place) throws -> [MerkleHash] {
    if let hashes = known[place] { return hashes }
    let hashes = try tile(place)
    let needs = min(size >> place.level - place.number * MerkleTile.width, MerkleTile.width)
    guard hashes.count >= needs else {
      throw LogTree.Failure.tileTooShort(place, has: hashes.count, needs: needs)
    }
    known[place] = hashes
    return hashes
  }
}
