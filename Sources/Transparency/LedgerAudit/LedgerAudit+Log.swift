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
    let sums = state.sums
    let read = Self.sideBySide(Array(first..<(first + count))) { number -> Result<ReadBundle, StoreFailure> in
      guard let row = bundles[Int64(number)] else { return .failure(.damaged("they are not there")) }
      return Result { try Self.read(row.get(), width: min(Self.width, log.size - number * Self.width), sums) }
        .mapError { StoreFailure(wrapping: $0) }
    }
    for (number, result) in zip(first..., read) { try await add(result, number, log) }
    state.tree.bundle = first + count
  }

  private static func read(_ bundle: LogBundle, width: Int, _ sums: AuditSums) throws -> ReadBundle {
    var read = ReadBundle()
    var end = 0
    let entries = bundle.entries.next(width, from: &end)
    guard entries.count == width else { throw StoreFailure.damaged("there are only \(entries.count) of \(width)") }
    read.leaves = try entries.leaves()
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

  /// Adds a bundle to the tree. One that cannot be read is left out of everything else; in the tree, the hash that the tile
  /// above has of it stands in for it.
  private mutating func add(
    _ result: Result<ReadBundle, StoreFailure>, _ number: Int, _ log: AuditScope.Log
  ) async throws {
    let first = number * Self.width
    let width = min(Self.width, log.size - first)
    switch result {
    case .success(let read):
      for mark in read.marks { state.sums.add(mark) }
      for root in read.roots { try await check(root: root.date, root.root, root.leafCount) }
      try check(keys: read.keys, first, log)
      try grow(by: read.leaves, first, log)
    case .failure(let failure):
      state.note("the entries \(first) to \(first + width - 1) of era \(log.era)", "they cannot be read: \(failure)")
      let above = try stored(MerkleTile.Place(level: MerkleTile.depth, number: number / Self.width), of: log.era)
      let root = above.dropFirst(number % Self.width).first
      try grow(by: [UInt8](repeating: 0, count: width * MerkleHash.size), root: root, first, log)
    }
    state.counts.entries += width
  }

  /// - Parameter root: of a full bundle, if it is not that of the leaves.
  private mutating func grow(by leaves: [UInt8], root: MerkleHash? = nil, _ first: Int, _ log: AuditScope.Log) throws {
    guard var range = CompactRange(size: first, subtrees: try state.tree.subtrees.map { try MerkleHash(hex: $0.utf8) })
    else {
      throw StoreFailure("the state of the audit does not belong together")
    }
    let tile = MerkleTile(place: .init(level: 0, number: first / Self.width), bytes: leaves)
    if first < log.signedSize, log.signedSize <= first + tile.count {
      var signed = range
      if let root, log.signedSize == first + Self.width {
        signed.append(root, level: MerkleTile.depth)
      } else {
        for hash in tile.hashes.prefix(log.signedSize - first) { signed.append(hash) }
      }
      state.tree.isRootSigned = try signedRoot(log) == signed.root
    }
    if tile.count == Self.width {
      let root = root ?? tile.root
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
    let stored = try stored(tile.place, of: log.era)
    for (index, hash) in tile.hashes.enumerated() where index >= stored.count || stored[index] != hash {
      state.tree.note(level: tile.place.level, index: tile.place.number * Self.width + index)
      if stored.count < tile.count { return }
    }
  }

  /// The hashes of a tile above the leaves, as far as they are there.
  func stored(_ place: MerkleTile.Place, of era: Int64) throws -> [MerkleHash] {
    let found = try store.auditTiles(of: era, level: place.level, first: place.number, limit: 1).first
    guard let found, found.number == place.number, MerkleTile.isWhole(found.hashes) else { return [] }
    return MerkleTile(place: place, bytes: found.hashes).hashes
  }

  // MARK: What is signed

  /// The root that the log's key has signed; nil if it has not.
  func signedRoot(_ log: AuditScope.Log) throws -> MerkleHash? {
    guard let text = log.checkpoint, let note = try? SignedNote(text),
      let verified = try? LogPolicy(log: logKey(log.origin)).verify(note), verified.checkpoint.size == log.signedSize
    else { return nil }
    return verified.checkpoint.root
  }

  private mutating func endLog(_ log: AuditScope.Log) throws {
    for (slot, bytes) in state.tree.filling.enumerated() where !bytes.isEmpty {
      let level = (slot + 1) * MerkleTile.depth
      try compareStored(
        MerkleTile(place: .init(level: level, number: state.tree.tile(at: level)), bytes: Array(bytes)), log)
    }
    let isRight = state.tree.isRootSigned == true
    let changed = isRight ? [] : state.tree.differing.filter { $0.level == MerkleTile.depth }
    state.changedBundles += changed.map { ChangedBundle(log: state.log, number: $0.index, isCertain: true) }
    // Nothing is above the last entries but the signature.
    if !isRight, log.signedSize % Self.width > 0 {
      let last = log.signedSize / Self.width
      state.changedBundles.append(ChangedBundle(log: state.log, number: last, isCertain: false))
    }
    // What else differs follows from the entries.
    for place in changed.isEmpty ? state.tree.differing : [] {
      let (number, level) = (place.index / Self.width, place.level / MerkleTile.depth)
      let name = "tile \(number) of level \(level) of era \(log.era)"
      guard state.faults[name] == nil else { continue }
      state.note(name, "its hash \(place.index % Self.width) is not what the entries give")
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
