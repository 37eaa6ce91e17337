import Fairness
import Foundation
import Ledger

/// Reading the logs: their trees, tiles and checkpoints, and what their entries are of.
extension LedgerAudit {
  static let bundlesAtOnce = 64
  private static let width = MerkleTile.width

  /// What the entries of a bundle come to.
  private struct ReadBundle: Sendable {
    /// The hashes of the entries.
    var leaves: [UInt8] = []
    var marks: [AuditSums.Mark] = []
    var roots: [(date: String, root: MerkleHash?, leafCount: Int)] = []
    /// The first entry that names keys, with its place in the bundle.
    var keys: (place: Int, entry: LogEntry)?
  }

  mutating func readLog() async throws {
    guard state.log < state.scope.logs.count else {
      try await readQueue()
      return state.advance(to: .outcomes)
    }
    let log = state.scope.logs[state.log]
    let first = state.tree.bundle
    guard first * Self.width < log.size else {
      try endLog(log)
      state.log += 1
      state.tree = AuditedTree()
      return
    }
    let count = min(Self.bundlesAtOnce, (log.size + Self.width - 1) / Self.width - first)
    let bundles = Dictionary(
      try store.auditBundles(of: log.era, first: first, limit: count).map { ($0.number, $0.row) },
      uniquingKeysWith: { a, _ in a })
    let tiles = Dictionary(
      try store.auditTiles(of: log.era, level: 0, first: first, limit: count).map { ($0.number, $0.hashes) },
      uniquingKeysWith: { a, _ in a })
    let sums = state.sums
    let read = Self.sideBySide(Array(first..<(first + count))) { number -> Result<ReadBundle, StoreFailure> in
      guard let row = bundles[Int64(number)] else { return .failure(.damaged("they are not there")) }
      return Result { try Self.read(row.get(), width: min(Self.width, log.size - number * Self.width), sums) }
        .mapError { StoreFailure(wrapping: $0) }
    }
    for (number, result) in zip(first..., read) { try await add(result, number, tiles[number] ?? [], log) }
    state.tree.bundle = first + count
  }

  private static func read(_ bundle: LogBundle, width: Int, _ sums: AuditSums) throws -> ReadBundle {
    var read = ReadBundle()
    var end = 0
    let entries = bundle.entries.next(width, from: &end)
    guard entries.count == width else { throw StoreFailure.damaged("there are only \(entries.count) of \(width)") }
    try entries.appendLeaves(to: &read.leaves)
    var place = 0
    try entries.forEachEntry { entry in
      switch entry {
      case .draw(let digest): read.marks.append(sums.mark(draws, digest))
      case .reveal(let digest): read.marks.append(sums.mark(reveals, digest))
      case .root(let date, let root, let leafCount): read.roots.append((date, root, leafCount))
      case .keys: read.keys = (place, entry)
      case .commit: break
      }
      place += 1
    }
    return read
  }

  /// Adds a bundle to the tree. One that cannot be read is left out of everything else; its tile stands in for it.
  private mutating func add(
    _ result: Result<ReadBundle, StoreFailure>, _ number: Int, _ tile: [UInt8], _ log: AuditScope.Log
  ) async throws {
    let first = number * Self.width
    let width = min(Self.width, log.size - first)
    var leaves: [UInt8]
    switch result {
    case .success(let read):
      leaves = read.leaves
      for mark in read.marks { state.sums.add(mark) }
      for root in read.roots { try await check(root: root.date, root.root, root.leafCount) }
      try check(keys: read.keys, first, log)
      compare(leaves, with: tile, level: 0, first: first)
    case .failure(let failure):
      state.note("the entries \(first) to \(first + width - 1) of era \(log.era)", "they cannot be read: \(failure)")
      leaves = Array(tile.prefix(width * MerkleHash.size))
      leaves += [UInt8](repeating: 0, count: width * MerkleHash.size - leaves.count)
    }
    state.counts.entries += width
    try grow(by: leaves, first, log)
  }

  private mutating func grow(by leaves: [UInt8], _ first: Int, _ log: AuditScope.Log) throws {
    guard var range = CompactRange(size: first, subtrees: try state.tree.subtrees.map { try MerkleHash(hex: $0.utf8) })
    else {
      throw StoreFailure("the state of the audit does not belong together")
    }
    let tile = MerkleTile(place: .init(level: 0, number: first / Self.width), bytes: leaves)
    if first < log.signedSize, log.signedSize <= first + tile.count {
      var signed = range
      for hash in tile.hashes.prefix(log.signedSize - first) { signed.append(hash) }
      state.tree.isRootSigned = try isSigned(signed.root, log)
    }
    if tile.count == Self.width {
      let root = tile.root
      range.append(root, level: MerkleTile.depth)
      try fill(root, slot: 1, log)
    } else {
      for hash in tile.hashes { range.append(hash) }
    }
    state.tree.size = range.size
    state.tree.subtrees = range.subtrees.map(\.description)
  }

  /// Adds to the tile being filled at a level above the leaves, and compares it once it is full.
  private mutating func fill(_ root: MerkleHash, slot: Int, _ log: AuditScope.Log) throws {
    if state.tree.filling.count < slot { state.tree.filling.append(Data()) }
    state.tree.filling[slot - 1].append(contentsOf: root.bytes)
    guard state.tree.filling[slot - 1].count == Self.width * MerkleHash.size else { return }
    let level = slot * MerkleTile.depth
    let bytes = Array(state.tree.filling[slot - 1])
    state.tree.filling[slot - 1] = Data()
    let tile = MerkleTile(place: .init(level: level, number: state.tree.tile(at: level)), bytes: bytes)
    try compareStored(tile, log)
    state.tree.full[level, default: 0] += 1
    try fill(tile.root, slot: slot + 1, log)
  }

  private mutating func compareStored(_ tile: MerkleTile, _ log: AuditScope.Log) throws {
    let stored = try store.auditTiles(of: log.era, level: tile.place.level, first: tile.place.number, limit: 1)
    let hashes = stored.first.flatMap { $0.number == tile.place.number ? $0.hashes : nil } ?? []
    compare(tile.bytes, with: hashes, level: tile.place.level, first: tile.place.number * Self.width)
  }

  /// Notes the first hash of a tile that is not what the entries give.
  private mutating func compare(_ computed: [UInt8], with stored: [UInt8], level: Int, first: Int) {
    let size = MerkleHash.size
    guard stored.count < computed.count || !stored.starts(with: computed) else { return }
    var isFirst = true
    for index in 0..<(computed.count / size) {
      let here = stored.dropFirst(index * size).prefix(size)
      guard !here.elementsEqual(computed[(index * size)..<((index + 1) * size)]) else { continue }
      if isFirst { state.tree.note(level: level, index: first + index) }
      isFirst = false
      if level == 0, here.count == size, state.strayLeaves.count < 10_000, let hash = try? MerkleHash(bytes: here) {
        state.strayLeaves[hash.description] = first + index
      }
    }
  }

  // MARK: What is signed

  private func isSigned(_ root: MerkleHash, _ log: AuditScope.Log) throws -> Bool {
    guard let text = log.checkpoint, let note = try? SignedNote(text),
      let verified = try? LogPolicy(log: logKey(log.origin)).verify(note)
    else { return false }
    return verified.checkpoint.size == log.signedSize && verified.checkpoint.root == root
  }

  private mutating func endLog(_ log: AuditScope.Log) throws {
    for (slot, bytes) in state.tree.filling.enumerated() where !bytes.isEmpty {
      let level = (slot + 1) * MerkleTile.depth
      try compareStored(
        MerkleTile(place: .init(level: level, number: state.tree.tile(at: level)), bytes: Array(bytes)), log)
    }
    let isRight = state.tree.isRootSigned == true
    let entriesDiffer = !isRight && state.tree.differing.contains { $0.level == 0 }
    for place in state.tree.differing {
      if entriesDiffer, place.level > 0 { continue }  // which follows from the entries
      if place.level == 0, !isRight {
        state.note(
          "entry \(place.index) of era \(log.era)", "it was changed: its hash is not the one in the log's tile")
      } else {
        let (number, level) = (place.index / Self.width, place.level / MerkleTile.depth)
        state.note(
          "tile \(number) of level \(level) of era \(log.era)",
          "its hash \(place.index % Self.width) is not what the entries give")
      }
    }
    if state.tree.moreDiffering > 0 {
      state.note("the tiles of era \(log.era)", "\(state.tree.moreDiffering) more differ from the entries")
    }
    if !isRight, log.signedSize > 0 || log.size > 0, log.checkpoint != nil {
      state.note(
        "the checkpoint of era \(log.era)",
        "the entries do not give the root that was signed for \(log.signedSize) entries, or the log's key did not sign it"
      )
    }
  }

  // MARK: Keys and daily roots

  private mutating func check(keys: (place: Int, entry: LogEntry)?, _ first: Int, _ log: AuditScope.Log) throws {
    let expected = LogEntry.keys(era: UInt64(log.era), vrf: seeds.publicKey.bytes, daily: rootKey)
    if first == 0 {
      guard keys?.entry != expected || keys?.place != 0 else { return }
      state.note("entry 0 of era \(log.era)", "it does not name the keys of this installation")
    } else if let keys {
      state.note("entry \(first + keys.place) of era \(log.era)", "it names keys, which only the first entry may do")
    }
  }

  private mutating func check(root date: String, _ root: MerkleHash?, _ leafCount: Int) async throws {
    state.rootDates.insert(date)
    guard let day = Day(date) else { return }
    let published = try await store.publishedDay(day)
    guard published?.root != root || published?.leafCount != leafCount else { return }
    func shown(_ root: MerkleHash?) -> String { root?.description ?? "none" }
    let now = published.map { "\(shown($0.root)) of \($0.leafCount) leaves is" } ?? "nothing is"
    state.note("the root of \(date)", "\(shown(root)) of \(leafCount) leaves was logged, and \(now) recorded")
  }

  /// What is not in a log yet counts as if it were.
  private mutating func readQueue() async throws {
    let sums = state.sums
    do {
      var roots: [(date: String, root: MerkleHash?, leafCount: Int)] = []
      var marks: [AuditSums.Mark] = []
      try state.scope.waiting().forEachEntry { entry in
        switch entry {
        case .draw(let digest): marks.append(sums.mark(Self.draws, digest))
        case .reveal(let digest): marks.append(sums.mark(Self.reveals, digest))
        case .root(let date, let root, let leafCount): roots.append((date, root, leafCount))
        case .keys, .commit: break
        }
      }
      for mark in marks { state.sums.add(mark) }
      for root in roots { try await check(root: root.date, root.root, root.leafCount) }
    } catch let failure as StoreFailure where failure.kind == .damaged {
      state.note("the entries that wait for the log", "they cannot be read: \(failure)")
    }
    try await checkPublishedDays()
  }

  /// Every day that was published since the log began has its entry.
  private mutating func checkPublishedDays() async throws {
    guard let begun = state.scope.begun else { return }
    var before: Day?
    while true {
      let days = try await store.publishedDays(before: before, limit: 500)
      for day in days where day.publishedAt >= begun && isSettled(day.publishedAt) {
        if !state.rootDates.contains(day.day.description) {
          state.note("the root of \(day.day)", "it is not in the log")
        }
      }
      guard let last = days.last else { return }
      before = last.day
    }
  }
}
