import Crypto
import Fairness
import Testing

/// RFC 6962, section 2.1, as it is written there: by recursion over the leaves.
private struct NaiveLog {
  let leaves: [MerkleHash]

  func root(_ range: Range<Int>) -> MerkleHash {
    if range.isEmpty { return LogTree.emptyRoot }
    if range.count == 1 { return leaves[range.lowerBound] }
    let middle = range.lowerBound + half(range.count)
    return .node(root(range.lowerBound..<middle), root(middle..<range.upperBound))
  }

  func path(_ index: Int, _ range: Range<Int>) -> [MerkleHash] {
    if range.count == 1 { return [] }
    let middle = range.lowerBound + half(range.count)
    return index < middle
      ? path(index, range.lowerBound..<middle) + [root(middle..<range.upperBound)]
      : path(index, middle..<range.upperBound) + [root(range.lowerBound..<middle)]
  }

  func proof(_ old: Int, _ range: Range<Int>, _ isWhole: Bool = true) -> [MerkleHash] {
    if old == range.upperBound { return isWhole ? [] : [root(range)] }
    let middle = range.lowerBound + half(range.count)
    return old <= middle
      ? proof(old, range.lowerBound..<middle, isWhole) + [root(middle..<range.upperBound)]
      : proof(old, middle..<range.upperBound, false) + [root(range.lowerBound..<middle)]
  }

  /// The largest power of two below `count`.
  private func half(_ count: Int) -> Int {
    var half = 1
    while 2 * half < count { half *= 2 }
    return half
  }

  /// The tiles of all the leaves, which are later and fuller ones for a smaller tree.
  func tiles() -> [MerkleTile.Place: [MerkleHash]] {
    var tiles: [MerkleTile.Place: [MerkleHash]] = [:]
    var (level, nodes) = (0, leaves)
    while !nodes.isEmpty {
      for start in stride(from: 0, to: nodes.count, by: 256) {
        tiles[.init(level: level, number: start / 256)] = Array(nodes[start..<min(start + 256, nodes.count)])
      }
      level += 8
      nodes = (0..<(leaves.count >> level)).map { root($0 << level..<($0 + 1) << level) }
    }
    return tiles
  }
}

private func leaves(_ count: Int) -> [MerkleHash] { (0..<count).map { .leaf(Array("entry \($0)".utf8)) } }
private func hash(_ hex: String) -> MerkleHash { try! MerkleHash(hex: hex.utf8) }

@Suite struct LogTreeTests {
  /// The entries and roots that Certificate Transparency's implementations share as their example.
  private let known: [(entry: [UInt8], root: String)] = [
    ([], "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ([0x00], "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ([0x10], "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ([0x20, 0x21], "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ([0x30, 0x31], "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    (Array(0x40...0x43), "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    (Array(0x50...0x57), "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    (Array(0x60...0x6f), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
  ]

  @Test func publishedRootsAndProofs() throws {
    #expect(
      LogTree.emptyRoot.description == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    let leaves = known.map { MerkleHash.leaf($0.entry) }
    for size in 1...8 { #expect(try LogTree.root(size: size) { _ in leaves } == hash(known[size - 1].root)) }
    #expect(
      try LogTree.inclusionProof(index: 5, size: 8) { _ in leaves } == [
        hash("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
        hash("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"),
        hash("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
      ])
    #expect(
      try LogTree.consistencyProof(from: 6, to: 8) { _ in leaves } == [
        hash("0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"),
        hash("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"),
        hash("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
      ])
    #expect(
      try LogTree.consistencyProof(from: 2, to: 5) { _ in leaves } == [
        hash("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"),
        hash("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
      ])
  }

  /// Every leaf of every tree of up to 600, from the tiles of a larger one.
  @Test func everyInclusionProof() throws {
    let log = NaiveLog(leaves: leaves(600))
    let tiles = log.tiles()
    for size in 1...600 {
      let root = log.root(0..<size)
      #expect(try LogTree.root(size: size) { tiles[$0]! } == root)
      // The naive tree takes long: all leaves near the powers of two, else every seventeenth.
      let isEdge = size <= 70 || (254...259).contains(size) || (511...514).contains(size)
      for index in stride(from: isEdge ? 0 : size % 17, to: size, by: isEdge ? 1 : 17) {
        let path = try LogTree.inclusionProof(index: index, size: size) { tiles[$0]! }
        if isEdge { #expect(path == log.path(index, 0..<size), "leaf \(index) of \(size)") }
        #expect(
          LogTree.verifyInclusion(leaf: log.leaves[index], index: index, size: size, path: path, root: root),
          "leaf \(index) of \(size)")
      }
    }
  }

  @Test func everyConsistencyProof() throws {
    let log = NaiveLog(leaves: leaves(130))
    let tiles = log.tiles()
    for to in 0...130 {
      for from in 0...to {
        let path = try LogTree.consistencyProof(from: from, to: to) { tiles[$0]! }
        #expect(path == (from == 0 ? [] : log.proof(from, 0..<to)), "\(from) to \(to)")
        #expect(
          LogTree.verifyConsistency(
            from: from, to: to, oldRoot: log.root(0..<from), newRoot: log.root(0..<to), path: path),
          "\(from) to \(to)")
      }
    }
  }

  /// Trees of tiles in three levels.
  @Test func largeTrees() throws {
    let log = NaiveLog(leaves: leaves(66_000))
    let tiles = log.tiles()
    var random = SplitMix64(state: announcedSeed())
    for to in [65_535, 65_536, 65_537, 65_792, 66_000] {
      let root = log.root(0..<to)
      var asked: [MerkleTile.Place] = []
      #expect(
        try LogTree.root(size: to) {
          asked.append($0)
          return tiles[$0]!
        } == root)
      #expect(Set(asked).count == asked.count, "a tile was asked for twice")
      for _ in 0..<100 {
        let index = Int.random(in: 0..<to, using: &random)
        asked = []
        let path = try LogTree.inclusionProof(index: index, size: to) {
          asked.append($0)
          return tiles[$0]!
        }
        #expect(Set(asked).count == asked.count, "a tile was asked for twice")
        #expect(LogTree.verifyInclusion(leaf: log.leaves[index], index: index, size: to, path: path, root: root))
        let from = Int.random(in: 1...to, using: &random)
        let proof = try LogTree.consistencyProof(from: from, to: to) { tiles[$0]! }
        let old = try LogTree.root(size: from) { tiles[$0]! }
        #expect(LogTree.verifyConsistency(from: from, to: to, oldRoot: old, newRoot: root, path: proof))
      }
    }
  }

  @Test func whatWasTamperedWithIsRefused() throws {
    let log = NaiveLog(leaves: leaves(40))
    let tiles = log.tiles()
    let other = MerkleHash.leaf([])
    for size in 1...40 {
      let root = log.root(0..<size)
      for index in 0..<size {
        let path = log.path(index, 0..<size)
        let leaf = log.leaves[index]
        func holds(
          leaf: MerkleHash? = nil, index: Int, size: Int, path: [MerkleHash], root: MerkleHash? = nil
        ) -> Bool {
          LogTree.verifyInclusion(
            leaf: leaf ?? log.leaves[index], index: index, size: size, path: path, root: root ?? log.root(0..<size))
        }
        #expect(!holds(leaf: other, index: index, size: size, path: path))
        #expect(!holds(index: index, size: size, path: path, root: other))
        #expect(!holds(index: index, size: size, path: path + [other]))
        if size > 1 { #expect(!holds(index: index, size: size, path: path.dropLast())) }
        for place in path.indices {
          var changed = path
          changed[place] = other
          #expect(!holds(index: index, size: size, path: changed))
        }
        for moved in 0..<size where moved != index {
          #expect(!holds(leaf: leaf, index: moved, size: size, path: path, root: root))
        }
      }
      for from in 0...size {
        let path = try LogTree.consistencyProof(from: from, to: size) { tiles[$0]! }
        let old = log.root(0..<from)
        func holds(_ from: Int, _ old: MerkleHash, _ new: MerkleHash, _ path: [MerkleHash]) -> Bool {
          LogTree.verifyConsistency(from: from, to: size, oldRoot: old, newRoot: new, path: path)
        }
        #expect(!holds(from, other, root, path))
        if from > 0 { #expect(!holds(from, old, other, path)) }
        #expect(!holds(from, old, root, path + [other]))
        if !path.isEmpty { #expect(!holds(from, old, root, path.dropLast())) }
        for place in path.indices {
          var changed = path
          changed[place] = other
          #expect(!holds(from, old, root, changed))
        }
      }
    }
  }

  @Test func noNumberIsTooStrange() throws {
    let (a, b) = (MerkleHash.leaf([1]), MerkleHash.leaf([2]))
    let strange = [Int.min, -1, 0, 1, 2, Int.max - 1, Int.max]
    for count in [0, 1, 2, 62, 63, 64, 65, 1000] {
      let path = Array(repeating: a, count: count)
      for one in strange {
        for two in strange {
          #expect(!LogTree.verifyInclusion(leaf: a, index: one, size: two, path: path, root: b))
          #expect(!LogTree.verifyConsistency(from: one, to: two, oldRoot: a, newRoot: b, path: path))
        }
      }
    }
    for (index, size) in [(0, 0), (-1, 5), (5, 5), (Int.min, Int.max), (0, Int.min)] {
      #expect(throws: LogTree.Failure.noSuchLeaf(index: index, size: size)) {
        try LogTree.inclusionProof(index: index, size: size) { _ in [] }
      }
    }
    for (from, to) in [(-1, 5), (6, 5), (Int.min, Int.max), (0, Int.min)] {
      #expect(throws: LogTree.Failure.notOlder(from: from, to: to)) {
        try LogTree.consistencyProof(from: from, to: to) { _ in [] }
      }
    }
    #expect(throws: LogTree.Failure.negativeSize(-1)) { try LogTree.root(size: -1) { _ in [] } }
    #expect(throws: LogTree.Failure.self) { try LogTree.root(size: .max) { _ in [] } }
    #expect(throws: LogTree.Failure.self) { try LogTree.consistencyProof(from: .max - 1, to: .max) { _ in [] } }
  }

  @Test func aTileThatIsTooShortIsNamed() throws {
    let tiles = NaiveLog(leaves: leaves(300)).tiles()
    let short = MerkleTile.Place(level: 0, number: 1)
    #expect(throws: LogTree.Failure.tileTooShort(short, has: 43, needs: 44)) {
      try LogTree.root(size: 300) { $0 == short ? tiles[$0]!.dropLast() : tiles[$0]! }
    }
    #expect(
      LogTree.Failure.tileTooShort(.init(level: 8, number: 2), has: 1, needs: 2).description
        == "tile 2 of level 1 has 1 hashes and needs 2")
  }
}
