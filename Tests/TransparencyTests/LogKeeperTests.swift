import Fairness
import Ledger
import Logging
import Synchronization
import Testing
import Transparency

/// A log in memory, of which calls fail when they are told to: before they have done anything, or after.
private final class FaultyLogStore: LogStore {
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
    /// How many calls there are until one fails.
    var callsToFailure = Int.max
    var failsAfter = false
    /// Each root that was signed, kept or not, by its size.
    var added = 0
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
      for level in stride(from: 0, to: 24, by: 8) where (state.size >> level) % 256 > 0 {
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

  func checkpoint(of era: Int64) async throws(StoreFailure) -> LogCheckpoint? { nil }
  func logTile(at place: MerkleTile.Place, of era: Int64) async throws(StoreFailure) -> [UInt8] { [] }
  func logEntries(_ number: Int, of era: Int64) async throws(StoreFailure) -> LogEntries { LogEntries() }
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

@Suite(.timeLimit(.minutes(1))) struct LogKeeperTests {
  private static let first = LogEntry.keys(
    era: 0, vrf: Array(repeating: 1, count: 32), daily: Array(repeating: 2, count: 32))
  private let store = FaultyLogStore()
  private let masterKey = try! MasterKey(bytes: Array(1...32))

  private var identity: LogIdentity {
    get throws { try LogIdentity(masterKey: masterKey, store: store, era: 0, publicURL: "https://draw.example/x") }
  }

  private func keeper() throws -> LogKeeper {
    LogKeeper(
      store: store, identity: try identity, first: Self.first,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  private func root(of lines: some Collection<[UInt8]>) -> MerkleHash {
    guard lines.count > 1 else { return lines.first.map { .leaf($0) } ?? LogTree.emptyRoot }
    var half = 1
    while 2 * half < lines.count { half *= 2 }
    return .node(root(of: lines.prefix(half)), root(of: lines.dropFirst(half)))
  }

  /// Whether the log holds what was queued, once and in order, and every checkpoint is one of it.
  private func check() throws {
    let (added, checkpoints) = store.state.withLock { ($0.added, $0.checkpoints) }
    let lines = try store.lines
    #expect(lines == [Self.first.bytes] + (0..<added).map { LogEntry.draw(LogDigest(of: Array("\($0)".utf8))).bytes })
    #expect(checkpoints.last?.size == lines.count)
    let key = try identity.verifierKey
    for checkpoint in checkpoints {
      let note = try SignedNote(checkpoint.text)
      #expect(note.signatures.allSatisfy { key.accepts($0, of: note.text) })
      let stated = try Checkpoint(text: note.text)
      #expect(stated.root == root(of: lines.prefix(checkpoint.size)) && stated.origin == "draw.example/x/log/0")
    }
  }

  @Test func killedAtEveryCall() throws {
    // What a step consists of is called one after the other; a kill between two calls is a failure of the later one.
    for failsAfter in [false, true] {
      for failing in 1...24 {
        let test = LogKeeperTests()
        try test.survives(failing, after: failsAfter)
      }
    }
  }

  private func survives(_ failing: Int, after: Bool) throws {
    _ = try identity
    store.state.withLock { ($0.callsToFailure, $0.failsAfter) = (failing, after) }
    for count in [1, 254, 2, 300, 700, 1] {
      store.queue(count)
      try work()
    }
    try work()
    try check()
  }

  /// Keeps the log; after a failure, another keeper does, which knows nothing of the one before.
  private func work() throws {
    while true {
      do {
        let keeper = try keeper()
        var work: LogKeeper.Work?
        while try keeper.step(&work) {}
        store.state.withLock { $0.now += 3_000 }
        return
      } catch is StoreFailure {
        store.state.withLock { $0.now += 3_000 }
      }
    }
  }

  @Test func theFirstEntryIsTheEras() throws {
    try work()
    try check()
    #expect(store.state.withLock { $0.checkpoints.map(\.size) } == [1])
    // Nothing to do is nothing signed.
    try work()
    #expect(store.state.withLock { $0.checkpoints.count } == 1)
  }

  @Test func anotherKeeperWaits() throws {
    let (first, second) = (try keeper(), try keeper())
    var (mine, others): (LogKeeper.Work?, LogKeeper.Work?) = (nil, nil)
    store.queue(3)
    _ = try first.step(&mine)
    store.queue(3)
    _ = try second.step(&others)
    #expect(try store.lines.count == 4)
    // The first hangs for longer than it holds the log; the second goes on, and the first notices.
    store.state.withLock { $0.now += 3_000 }
    _ = try second.step(&others)
    #expect(try store.lines.count == 7)
    store.queue(2)
    _ = try first.step(&mine)
    #expect(try store.lines.count == 7)
    _ = try second.step(&others)
    #expect(try store.lines.count == 9)
    try check()
  }

  @Test func aTilerGivesTheTreesTiles() throws {
    var generator = SystemRandomNumberGenerator()
    var tiles: [MerkleTile.Place: MerkleTile] = [:]
    var leaves: [MerkleHash] = []
    var tiler = LogTiler(
      LogState(size: 0, signedSize: 0, edge: [:], bundle: LogBundle(number: 0)))
    // Past the first full tile of the second level.
    while leaves.count < 66_000 {
      for _ in 0..<Int.random(in: 1...2_000, using: &generator) {
        let entry = LogEntry.draw(LogDigest(of: Array("\(leaves.count)".utf8)))
        leaves.append(.leaf(entry.bytes))
        tiler.append(entry, drawn: nil)
      }
      for tile in tiler.take().tiles { tiles[tile.place] = tile }
    }
    var nodes = leaves
    var count = 0
    for level in stride(from: 0, to: 24, by: 8) where !nodes.isEmpty {
      for start in stride(from: 0, to: nodes.count, by: 256) {
        let place = MerkleTile.Place(level: level, number: start / 256)
        #expect(tiles[place]?.bytes == nodes[start..<min(start + 256, nodes.count)].flatMap(\.bytes))
        count += 1
      }
      nodes = stride(from: 0, to: nodes.count - 255, by: 256).map { start in
        var width = Array(nodes[start..<(start + 256)])
        while width.count > 1 {
          width = stride(from: 0, to: width.count, by: 2).map { .node(width[$0], width[$0 + 1]) }
        }
        return width[0]
      }
    }
    #expect(tiles.count == count)
    #expect(try tiler.root() == LogTree.root(size: leaves.count) { tiles[$0]?.hashes ?? [] })
  }
}
