/// Up to 256 neighbouring hashes of a Merkle tree's level 0, 8, 16, …: what is stored of a tree.
///
/// The levels between are worked out again from a tile when they are needed, so a proof in a tree of up to 2²⁴ leaves
/// reads three tiles. (The layout is that of tiled transparency logs: see <https://c2sp.org/tlog-tiles>.)
public struct MerkleTile: Sendable, Equatable {
  /// The most hashes in a tile: 2 to the power of ``depth``.
  public static let width = 256
  /// How many levels a tile spans.
  public static let depth = 8

  /// Where a tile belongs.
  public struct Place: Hashable, Sendable {
    /// The level its hashes are of, a multiple of ``MerkleTile/depth``.
    public let level: Int
    /// Its number among the level's tiles, from 0 on the left.
    public let number: Int

    public init(level: Int, number: Int) {
      self.level = level
      self.number = number
    }
  }

  public let place: Place
  /// The hashes' bytes, one after the other.
  public let bytes: [UInt8]

  /// - Precondition: `bytes` are those of 1 to 256 whole hashes.
  public init(place: Place, bytes: [UInt8]) {
    precondition(Self.isWhole(bytes))
    self.place = place
    self.bytes = bytes
  }

  /// Whether `bytes` can be a tile's.
  public static func isWhole(_ bytes: [UInt8]) -> Bool {
    (1...width).contains(bytes.count / MerkleHash.size) && bytes.count % MerkleHash.size == 0
  }

  public var count: Int { bytes.count / MerkleHash.size }

  /// The node above a full tile.
  ///
  /// - Precondition: there are 256 hashes.
  public var root: MerkleHash {
    precondition(count == Self.width)
    let begun = MerkleHash.beginning(with: 1)
    let pair = 2 * MerkleHash.size
    var nodes = bytes
    nodes.withUnsafeMutableBytes { nodes in
      var width = Self.width
      while width > 1 {
        for node in 0..<(width / 2) {
          var hash = begun
          hash.update(UnsafeRawBufferPointer(rebasing: nodes[(node * pair)..<((node + 1) * pair)]))
          hash.digest().store(to: nodes, at: node * MerkleHash.size)
        }
        width /= 2
      }
    }
    return MerkleHash(first: nodes)
  }

  /// The hashes, from the left.
  public var hashes: [MerkleHash] {
    (0..<count).compactMap { try? MerkleHash(bytes: bytes[($0 * MerkleHash.size)..<(($0 + 1) * MerkleHash.size)]) }
  }
}

extension MerkleShape {
  /// The tiles that a proof for a leaf is made from, from the leaves up.
  ///
  /// - Precondition: the tree has a leaf `index`.
  public func tilesOfProof(for index: Int) -> [MerkleTile.Place] {
    precondition((0..<leafCount).contains(index))
    return stride(from: 0, to: height, by: MerkleTile.depth).map {
      MerkleTile.Place(level: $0, number: index >> $0 / MerkleTile.width)
    }
  }

  /// How many tiles of leaves there are.
  public var leafTiles: Int { (leafCount + MerkleTile.width - 1) / MerkleTile.width }

  /// How many hashes the tile at a place has; 0 if there is none.
  public func count(inTile place: MerkleTile.Place) -> Int {
    min(max(count(atLevel: place.level) - place.number * MerkleTile.width, 0), MerkleTile.width)
  }
}

extension InclusionProof {
  /// The proof for leaf `index` of a tree of `leafCount`, from the tree's tiles.
  ///
  /// - Parameter tiles: those at ``MerkleShape/tilesOfProof(for:)``, in that order.
  /// - Returns: nil if they are not those tiles.
  public init?(index: Int, leafCount: Int, tiles: [MerkleTile]) {
    guard (0..<max(leafCount, 0)).contains(index) else { return nil }
    let shape = MerkleShape(leafCount: leafCount)
    let places = shape.tilesOfProof(for: index)
    guard tiles.map(\.place) == places, tiles.allSatisfy({ $0.count == shape.count(inTile: $0.place) }) else {
      return nil
    }
    var siblings: [MerkleHash] = []
    for tile in tiles {
      var nodes = tile.hashes
      var at = index >> tile.place.level % MerkleTile.width
      for _ in tile.place.level..<min(tile.place.level + MerkleTile.depth, shape.height) {
        siblings.append(at ^ 1 < nodes.count ? nodes[at ^ 1] : nodes[at])
        nodes = stride(from: 0, to: nodes.count, by: 2).map { .node(nodes[$0], nodes[min($0 + 1, nodes.count - 1)]) }
        at >>= 1
      }
    }
    self.init(index: index, leafCount: leafCount, siblings: siblings)
  }
}

/// Cuts a Merkle tree into tiles while it is built, in memory of the order of its height.
public struct MerkleTiler: Sendable {
  public private(set) var tree = MerkleTree()
  /// For each level that is cut into tiles, the hashes of the tile being filled.
  private var filling: [[UInt8]] = []
  private var numbers: [Int] = []
  /// Tiles that are complete and were not taken yet.
  private var complete: [MerkleTile] = []

  public init() {}

  /// How many tiles ``takeTiles()`` would give.
  public var readyTiles: Int { complete.count }

  public mutating func append(_ leaf: MerkleHash) {
    var tree = tree
    self.tree = MerkleTree()  // the copy is then the only one, and changes in place
    tree.append(leaf) { add($1, at: $0) }
    self.tree = tree
  }

  /// Hands over the tiles that are complete.
  public mutating func takeTiles() -> [MerkleTile] {
    defer { complete = [] }
    return complete
  }

  /// Completes the tiles at the right edge, to be taken.
  ///
  /// - Returns: the root, nil if there are no leaves. Nothing may be appended after it.
  public mutating func finish() -> MerkleHash? {
    let tree = tree
    let root = tree.root { add($1, at: $0) }
    for slot in filling.indices where !filling[slot].isEmpty {
      // The root alone needs no tile, unless it is a leaf.
      guard slot == 0 || numbers[slot] > 0 || filling[slot].count > MerkleHash.size else { continue }
      emit(slot)
    }
    return root
  }

  private mutating func add(_ node: MerkleHash, at level: Int) {
    guard level % MerkleTile.depth == 0 else { return }
    let slot = level / MerkleTile.depth
    if slot == filling.count {
      filling.append([])
      numbers.append(0)
    }
    filling[slot].append(contentsOf: node.bytes)
    if filling[slot].count == MerkleTile.width * MerkleHash.size { emit(slot) }
  }

  private mutating func emit(_ slot: Int) {
    let place = MerkleTile.Place(level: slot * MerkleTile.depth, number: numbers[slot])
    complete.append(MerkleTile(place: place, bytes: filling[slot]))
    filling[slot].removeAll(keepingCapacity: false)
    numbers[slot] += 1
  }
}
