import Crypto
import Fairness
import Testing

/// The definition, written down as it is told: level by level, an odd one with its last node once more.
private struct NaiveTree {
  var levels: [[[UInt8]]]

  init(leaves: [[UInt8]]) {
    levels = [leaves]
    while let level = levels.last, level.count > 1 {
      let even = level.count % 2 == 0 ? level : level + [level[level.count - 1]]
      levels.append(
        stride(from: 0, to: even.count, by: 2).map { Array(SHA256.hash(data: [1] + even[$0] + even[$0 + 1])) })
    }
  }

  var root: [UInt8]? { levels.last?.first }

  func siblings(of index: Int) -> [[UInt8]] {
    levels.dropLast().enumerated().map { height, level in
      let sibling = index >> height ^ 1
      return level[min(sibling, level.count - 1)]
    }
  }
}

private func leaf(_ number: Int) -> [UInt8] { Array(SHA256.hash(data: [0] + Array("leaf \(number)".utf8))) }
private func hash(_ bytes: [UInt8]) -> MerkleHash { try! MerkleHash(bytes: bytes) }

/// A tree and its tiles, by their places.
private func tiled(_ leaves: [MerkleHash]) -> (root: MerkleHash?, tiles: [MerkleTile.Place: MerkleTile]) {
  var tiler = MerkleTiler()
  var tiles: [MerkleTile] = []
  for (index, leaf) in leaves.enumerated() {
    tiler.append(leaf)
    if index % 100 == 0 { tiles += tiler.takeTiles() }
  }
  let root = tiler.finish()
  tiles += tiler.takeTiles()
  return (root, Dictionary(uniqueKeysWithValues: tiles.map { ($0.place, $0) }))
}

private func treeProof(of index: Int, _ leafCount: Int, _ tiles: [MerkleTile.Place: MerkleTile]) -> InclusionProof? {
  let places = MerkleShape(leafCount: leafCount).tilesOfProof(for: index)
  return InclusionProof(index: index, leafCount: leafCount, tiles: places.compactMap { tiles[$0] })
}

@Suite struct MerkleTreeTests {
  @Test func leavesAndNodesAreHashedApart() {
    let text = Array("round-1:0:7|".utf8)
    #expect(MerkleHash.leaf(text).bytes == Array(SHA256.hash(data: [0] + text)))
    let (a, b) = (MerkleHash.leaf([1]), MerkleHash.leaf([2]))
    #expect(MerkleHash.node(a, b).bytes == Array(SHA256.hash(data: [1] + a.bytes + b.bytes)))
    #expect(MerkleHash.node(a, b) != MerkleHash.node(b, a))
    #expect(MerkleHash.node(a, b) != MerkleHash.leaf(a.bytes + b.bytes))
  }

  /// Three leaves, the root worked out with another program (Python, its hashlib).
  @Test func aKnownTree() throws {
    var tree = MerkleTree()
    #expect(tree.root() == nil && tree.shape.height == 0)
    for text in ["a", "b", "c"] { tree.append(.leaf(Array(text.utf8))) }
    #expect(tree.root()?.description == "e9636069c740c9ff51625b01a0b040396d265a9b920cc6febdfa5ecc9f58ecce")
  }

  /// Every tree of up to 300 leaves, and every proof in it.
  @Test func agreesWithTheDefinition() throws {
    let leaves = (0..<300).map(leaf)
    var tree = MerkleTree()
    for count in 0...leaves.count {
      let naive = NaiveTree(leaves: Array(leaves.prefix(count)))
      let root = naive.root.map(hash)
      #expect(tree.leafCount == count)
      #expect(tree.root() == root, "\(count) leaves")
      #expect(tree.shape.height == naive.levels.count - 1, "\(count) leaves")
      for (level, nodes) in naive.levels.enumerated() { #expect(tree.shape.count(atLevel: level) == nodes.count) }

      let (tiledRoot, tiles) = tiled(leaves.prefix(count).map(hash))
      #expect(tiledRoot == root)
      for index in 0..<count {
        let proof = try #require(treeProof(of: index, count, tiles))
        let expected = naive.siblings(of: index).map(hash)
        #expect(proof.siblings == expected, "leaf \(index) of \(count)")
        #expect(throws: Never.self) { try proof.verify(hash(leaves[index]), root: try #require(root)) }
      }
      if count < leaves.count { tree.append(hash(leaves[count])) }
    }
  }

  /// Tiles of three levels; too many leaves to look at every proof.
  @Test(arguments: [255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 70_000])
  func largerTrees(count: Int) throws {
    let leaves = (0..<count).map(leaf)
    let naive = NaiveTree(leaves: leaves)
    let (root, tiles) = tiled(leaves.map(hash))
    #expect(root == naive.root.map(hash))
    // What is stored is what the levels 0, 8 and 16 hold, and no more than is needed.
    #expect(Set(tiles.keys.map(\.level)) == Set(stride(from: 0, to: max(naive.levels.count - 1, 1), by: 8)))
    for (place, tile) in tiles {
      #expect(tile.hashes.map(\.bytes) == Array(naive.levels[place.level].dropFirst(place.number * 256).prefix(256)))
    }
    var random = SplitMix64(state: announcedSeed())
    for index in [0, 1, count / 2, count - 2, count - 1]
      + (0..<50).map({ _ in Int.random(in: 0..<count, using: &random) })
    {
      let proof = try #require(treeProof(of: index, count, tiles))
      #expect(proof.siblings.map(\.bytes) == naive.siblings(of: index))
      #expect(throws: Never.self) { try proof.verify(hash(leaves[index]), root: try #require(root)) }
    }
  }

  @Test func nodesAreToldFromLeftToRight() {
    for count in 0...40 {
      let leaves = (0..<count).map(leaf)
      var told: [Int: [[UInt8]]] = [:]
      var tree = MerkleTree()
      for leaf in leaves { tree.append(hash(leaf)) { told[$0, default: []].append($1.bytes) } }
      _ = tree.root { told[$0, default: []].append($1.bytes) }
      for (level, nodes) in NaiveTree(leaves: leaves).levels.enumerated() { #expect(told[level, default: []] == nodes) }
    }
  }

  @Test func wrongTilesMakeNoProof() throws {
    let (_, tiles) = tiled((0..<600).map { hash(leaf($0)) })
    let places = MerkleShape(leafCount: 600).tilesOfProof(for: 300)
    let right = places.map { tiles[$0]! }
    #expect(InclusionProof(index: 300, leafCount: 600, tiles: right) != nil)
    #expect(InclusionProof(index: 300, leafCount: 600, tiles: Array(right.dropLast())) == nil)
    #expect(InclusionProof(index: 300, leafCount: 600, tiles: right.reversed()) == nil)
    #expect(InclusionProof(index: 0, leafCount: 600, tiles: right) == nil)
    #expect(InclusionProof(index: 599, leafCount: 600, tiles: right) == nil)
    #expect(InclusionProof(index: 600, leafCount: 600, tiles: right) == nil)
    #expect(InclusionProof(index: -1, leafCount: 600, tiles: right) == nil)
    let short = MerkleTile(place: right[0].place, bytes: Array(right[0].bytes.dropLast(32)))
    #expect(InclusionProof(index: 300, leafCount: 600, tiles: [short, right[1]]) == nil)
  }
}

@Suite struct InclusionProofTests {
  private let leaves = (0..<7).map { hash(leaf($0)) }
  private var root: MerkleHash { tiled(leaves).root! }
  private func proof(_ index: Int) -> InclusionProof { treeProof(of: index, 7, tiled(leaves).tiles)! }

  @Test func anotherLeafIndexOrRootIsRefused() {
    let good = proof(2)
    #expect(throws: InclusionProof.Failure.self) { try good.verify(leaves[3], root: root) }
    #expect(throws: InclusionProof.Failure.self) { try good.verify(leaves[2], root: leaves[0]) }
    for index in 0..<7 where index != 2 {
      let moved = InclusionProof(index: index, leafCount: 7, siblings: good.siblings)
      #expect(throws: InclusionProof.Failure.self) { try moved.verify(leaves[2], root: root) }
    }
  }

  @Test func anySiblingThatWasChangedIsRefused() {
    for index in 0..<7 {
      let good = proof(index)
      for level in good.siblings.indices {
        var siblings = good.siblings
        siblings[level] = hash(leaf(99))
        let bad = InclusionProof(index: index, leafCount: 7, siblings: siblings)
        #expect(throws: InclusionProof.Failure.self) { try bad.verify(leaves[index], root: root) }
      }
    }
  }

  @Test func placesThatNoTreeHasAreRefused() {
    let siblings = proof(2).siblings
    for (index, count) in [(7, 7), (-1, 7), (0, 0), (0, -1), (.max, 7), (2, .min)] {
      #expect(throws: InclusionProof.Failure.indexOutOfRange(index: index, leafCount: count)) {
        try InclusionProof(index: index, leafCount: count, siblings: siblings).verify(leaves[2], root: root)
      }
    }
    for siblings in [[], Array(siblings.dropLast()), siblings + [leaves[0]]] {
      #expect(throws: InclusionProof.Failure.wrongLength(siblings: siblings.count, height: 3)) {
        try InclusionProof(index: 2, leafCount: 7, siblings: siblings).verify(leaves[2], root: root)
      }
    }
  }

  /// Seven leaves and the same with the last one twice have one root; so an eighth leaf must not be provable for a tree
  /// of seven, nor a repeated node be anything else than the node.
  @Test func aRepetitionIsNoLeaf() throws {
    var eight = MerkleTree()
    for leaf in leaves + [leaves[6]] { eight.append(leaf) }
    #expect(eight.root() == root)
    let ghost = InclusionProof(index: 7, leafCount: 7, siblings: proof(6).siblings)
    #expect(throws: InclusionProof.Failure.indexOutOfRange(index: 7, leafCount: 7)) {
      try ghost.verify(leaves[6], root: root)
    }
    let doubled = InclusionProof(index: 7, leafCount: 8, siblings: proof(6).siblings)
    #expect(throws: InclusionProof.Failure.repeated(level: 0)) { try doubled.verify(leaves[6], root: root) }
    var siblings = proof(6).siblings
    siblings[0] = leaves[0]
    #expect(throws: InclusionProof.Failure.notRepeated(level: 0)) {
      try InclusionProof(index: 6, leafCount: 7, siblings: siblings).verify(leaves[6], root: root)
    }
  }
}

@Suite struct LogLeafTests {
  private func leaf(_ clientSeed: String, _ cursor: Int64 = 0, _ nonce: Int64 = 0, _ created: Int64 = 1_767_225_600_000)
    throws -> LogLeaf
  {
    LogLeaf(
      clientSeed: try ClientSeed(clientSeed), cursor: cursor, nonce: nonce, serverHash: fixedSeed.hash, created: created
    )
  }

  @Test func isWrittenInOneWay() throws {
    let leaf = try leaf("é:|7", 3, 41)
    #expect(leaf.outcomeID == Array("é:|7:3:41".utf8))
    #expect(leaf.canonical == Array("é:|7:3:41|\(fixedSeed.hash)|é:|7|1767225600000".utf8))
    #expect(leaf.hash == .leaf(leaf.canonical))
    let decomposed = try self.leaf("e\u{301}:|7", 3, 41)
    #expect(decomposed.hash != leaf.hash)
  }

  /// Client seeds made to look like each other's leaves.
  @Test func noTwoLeavesHaveOneText() throws {
    let seeds = ["a", "a:0", "a:0:0", "a|", "a:0:0|\(fixedSeed.hash)|a", "|", ":", "0", "0:0", "|\(fixedSeed.hash)|"]
    var texts: Set<[UInt8]> = []
    var count = 0
    for seed in seeds {
      for cursor in [0, 1, 10] as [Int64] {
        for nonce in [0, 1, 10] as [Int64] {
          for created in [0, 10, 100] as [Int64] {
            texts.insert(try leaf(seed, cursor, nonce, created).canonical)
            count += 1
          }
        }
      }
    }
    #expect(texts.count == count)
  }
}
