import Fairness
import Ledger
import Logging
import Synchronization
import Testing
import Transparency

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
    // The second sees that something waits, which was drawn long ago here.
    #expect(first.lag == 0 && second.lag > 0)
    // The first hangs for longer than it holds the log; the second goes on, and the first notices.
    store.state.withLock { $0.now += 3_000 }
    _ = try second.step(&others)
    #expect(try store.lines.count == 7)
    store.queue(2)
    _ = try first.step(&mine)
    #expect(try store.lines.count == 7)
    _ = try second.step(&others)
    #expect(try store.lines.count == 9)
    #expect(second.lag == 0)
    try check()
  }

  @Test func eachEntryHasTheTimeWhenItWasAdded() throws {
    var state = LogState(size: 0, signedSize: 0, edge: [:], bundle: LogBundle(number: 0))
    var times: [Milliseconds] = []
    var bundles: [Int: LogBundle] = [:]
    var tiles: [MerkleTile.Place: MerkleTile] = [:]
    for (step, count) in [1, 1, 300, 0, 254, 1, 700, 3].enumerated() {
      // Each step by another keeper, which begins with what is stored.
      var tiler = try LogTiler(state)
      var entries = LogEntries()
      for _ in 0..<count {
        entries.append(.draw(LogDigest(of: Array("\(times.count)".utf8))))
        times.append(Milliseconds(1_700_000_000_000 + step))
      }
      try tiler.append(entries, drawn: nil)
      let taken = tiler.take(at: Milliseconds(1_700_000_000_000 + step))
      for tile in taken.tiles { tiles[tile.place] = tile }
      for bundle in taken.bundles {
        let stored = try #require([LogBundle.Step](bytes: bundle.logged.bytes))
        #expect(stored == bundle.logged)
        bundles[bundle.number] = bundle
      }
      let number = times.count / 256
      var edge: [Int: MerkleTile] = [:]
      for level in [8] where (times.count >> level) % 256 > 0 {
        edge[level] = tiles[.init(level: level, number: (times.count >> level) / 256)]
      }
      state = LogState(
        size: times.count, signedSize: 0, edge: edge, bundle: bundles[number] ?? LogBundle(number: number))
    }
    for (index, time) in times.enumerated() {
      #expect(LogBundle.time(ofEntry: index % 256, in: try #require(bundles[index / 256]).logged) == time)
    }
    // What was added before times were recorded has none.
    var old = try #require(bundles[0])
    old.logged = []
    old.mark(at: 0)
    #expect(LogBundle.time(ofEntry: 0, in: old.logged) == nil && LogBundle.time(ofEntry: 0, in: []) == nil)
    #expect([LogBundle.Step](bytes: [1]) == nil)
  }

  @Test func aTilerGivesTheTreesTiles() throws {
    var generator = SystemRandomNumberGenerator()
    var tiles: [MerkleTile.Place: MerkleTile] = [:]
    var leaves: [MerkleHash] = []
    var tiler = try LogTiler(
      LogState(size: 0, signedSize: 0, edge: [:], bundle: LogBundle(number: 0)))
    // Past the first full tile of the second level.
    while leaves.count < 66_000 {
      var entries = LogEntries()
      for _ in 0..<Int.random(in: 1...2_000, using: &generator) {
        let entry = LogEntry.draw(LogDigest(of: Array("\(leaves.count)".utf8)))
        leaves.append(.leaf(entry.bytes))
        entries.append(entry)
      }
      try tiler.append(entries, drawn: nil)
      let taken = tiler.take(at: 1)
      #expect(taken.tiles.allSatisfy { $0.place.level > 0 })
      for tile in taken.tiles { tiles[tile.place] = tile }
      for bundle in taken.bundles {
        let place = MerkleTile.Place(level: 0, number: bundle.number)
        tiles[place] = MerkleTile(place: place, bytes: try bundle.entries.leaves())
      }
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
