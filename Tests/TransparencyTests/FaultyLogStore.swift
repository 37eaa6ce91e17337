import Fairness
import Ledger
import Synchronization
import Testing

/// A log in memory, of which calls fail when they are told to: before they have done anything, or after.
final class FaultyLogStore: LogStore {
  struct State {
    var origin: String?
    var size = 0
    var keeper: [UInt8] = []
    var keptUntil: Milliseconds = 0
    var now: Milliseconds = 0
    var queue: [QueuedEntries] = []
    var tiles: [MerkleTile.Place: MerkleTile] = [:]
    var bundles: [Int: LogBundle] = [:]
    var checkpoints: [LogCheckpoint] = []
    var cosignatures: [LogCosignature] = []
    /// What the log shows instead of its newest checkpoint, as after a restore.
    var shown: LogCheckpoint?
    var askedUntil: Milliseconds = 0
    /// How many calls there are until one fails.
    var callsToFailure = Int.max
    var failsAfter = false
    /// Each root that was signed, kept or not, by its size.
    var added = 0

    func hashes(at place: MerkleTile.Place) throws -> [MerkleHash] {
      guard place.level == 0 else { return tiles[place]?.hashes ?? [] }
      return try bundles[place.number].map { MerkleTile(place: place, bytes: try $0.entries.leaves()).hashes } ?? []
    }
  }
  let state = Mutex(State())

  private func call<Result>(_ body: (inout State) throws(StoreFailure) -> Result) throws(StoreFailure) -> Result {
    let (result, fails): (Swift.Result<Result, StoreFailure>, Bool) = state.withLock { state in
      state.callsToFailure -= 1
      let fails = state.callsToFailure == 0
      if fails && !state.failsAfter { return (.failure(StoreFailure("before")), true) }
      do throws(StoreFailure) { return (.success(try body(&state)), fails) } catch { return (.failure(error), fails) }
    }
    let made = try result.get()
    if fails { throw StoreFailure("after") }
    return made
  }

  func beginLog(of era: Int64, origin: String) throws(StoreFailure) -> String {
    try call { state in
      state.origin = state.origin ?? origin
      return state.origin ?? origin
    }
  }

  func holdLog(of era: Int64, by keeper: [UInt8], for time: Milliseconds) throws(StoreFailure) -> Bool {
    try call { state in
      guard state.keptUntil <= state.now || state.keeper == keeper else { return false }
      (state.keeper, state.keptUntil) = (keeper, state.now + time)
      return true
    }
  }

  func log(of era: Int64) throws(StoreFailure) -> LogState? {
    try call { state in
      guard state.origin != nil else { return nil }
      var edge: [Int: MerkleTile] = [:]
      for level in [8, 16] where (state.size >> level) % 256 > 0 {
        edge[level] = state.tiles[.init(level: level, number: (state.size >> level) / 256)]
      }
      let number = state.size / 256
      return LogState(
        size: state.size, signedSize: state.checkpoints.last?.size ?? 0, edge: edge,
        bundle: state.bundles[number] ?? LogBundle(number: number))
    }
  }

  func installation() throws(StoreFailure) -> [UInt8] { Array(repeating: 5, count: 16) }

  func history(
    of era: Int64, rootAt size: Int
  ) throws(StoreFailure) -> (newestEra: Int64, checkpoint: LogCheckpoint?, root: MerkleHash?) { (0, nil, nil) }

  func queuedEntries() throws(StoreFailure) -> (groups: [QueuedEntries], hasMore: Bool) {
    try call { (Array($0.queue.prefix(3)), $0.queue.count > 3) }
  }

  func grow(_ growth: LogGrowth) throws(StoreFailure) -> Bool {
    try call { state in
      guard state.size == growth.from, state.keeper == growth.keeper else { return false }
      state.size = growth.to
      for tile in growth.tiles { state.tiles[tile.place] = tile }
      for bundle in growth.bundles { state.bundles[bundle.number] = bundle }
      state.queue.removeAll { growth.queued.contains($0.id) }
      return true
    }
  }

  func keep(checkpoint: String, ofSize size: Int, era: Int64) throws(StoreFailure) {
    try call { state in
      #expect(size <= state.size, "what is signed is durable")
      guard size > state.checkpoints.last?.size ?? 0 else { return }
      state.checkpoints.append(LogCheckpoint(era: era, size: size, text: checkpoint))
    }
  }

  func claimCosigning(of era: Int64, for time: Milliseconds) async throws(StoreFailure) -> Bool {
    try call { state in
      guard state.askedUntil <= state.now else { return false }
      state.askedUntil = state.now + time
      return true
    }
  }

  func keep(_ cosignature: LogCosignature) async throws(StoreFailure) {
    try call { $0.cosignatures.append(cosignature) }
  }

  func consistencyProof(of era: Int64, from: Int, to: Int) async throws(StoreFailure) -> [MerkleHash] {
    try call { state throws(StoreFailure) in
      do {
        return try LogTree.consistencyProof(from: from, to: to) { try state.hashes(at: $0) }
      } catch { throw StoreFailure(wrapping: error) }
    }
  }

  func checkpoint(of era: Int64) async throws(StoreFailure) -> LogCheckpoint? {
    try call { state in
      guard let newest = state.shown ?? state.checkpoints.last else { return nil }
      let lines = state.cosignatures.filter { $0.size == newest.size }.map { $0.line + "\n" }
      return LogCheckpoint(era: era, size: newest.size, text: newest.text + lines.joined())
    }
  }

  func cosignedCheckpoint(of era: Int64) async throws(StoreFailure) -> LogCheckpoint? { nil }
  func logTile(at place: MerkleTile.Place, of era: Int64) async throws(StoreFailure) -> [UInt8] { [] }
  func logEntries(_ number: Int, of era: Int64) async throws(StoreFailure) -> LogEntries { LogEntries() }
  func growth(of era: Int64) async throws(StoreFailure) -> [LogMinute] { [] }
  func place(of digest: LogDigest, drawn: Milliseconds) async throws(StoreFailure) -> LogPlace { .missing }

  // MARK: What a test does

  func queue(_ count: Int) {
    state.withLock { state in
      var entries = LogEntries()
      for _ in 0..<count {
        entries.append(.draw(LogDigest(of: Array("\(state.added)".utf8))))
        state.added += 1
      }
      let last = Int64(state.added)
      state.queue.append(QueuedEntries(id: last, drawn: last, entries: entries))
    }
  }

  var lines: [[UInt8]] {
    get throws {
      let bundles = state.withLock { state in state.bundles.sorted { $0.key < $1.key }.map(\.value) }
      var lines: [[UInt8]] = []
      for bundle in bundles { try bundle.entries.forEachEntry { lines.append($0.bytes) } }
      return lines
    }
  }
}
