import Fairness
import Foundation
import Ledger
import Logging
import Synchronization
import Testing
import Transparency

/// A log of which a test says what it tells of its history.
private final class ToldLogStore: LogHistoryStore {
  struct Told {
    var newestEra: Int64 = 0
    /// The leaves of the log's tree.
    var leaves: [MerkleHash] = []
    var isThere = true
    var fails = false
  }
  let told = Mutex(Told())

  func installation() throws(StoreFailure) -> [UInt8] { Array(repeating: 5, count: 16) }

  func history(
    of era: Int64, rootAt size: Int
  ) throws(StoreFailure) -> (newestEra: Int64, checkpoint: LogCheckpoint?, root: MerkleHash?) {
    let told = told.withLock { $0 }
    guard !told.fails else { throw StoreFailure("a lock") }
    guard told.isThere else { return (told.newestEra, nil, nil) }
    let checkpoint = Checkpoint(
      origin: "draw.example/log/\(era)", size: told.leaves.count, root: Self.root(told.leaves[...]))
    let signature = NoteSignature(name: "draw.example/log/\(era)", keyID: 1, bytes: [5])
    return (
      told.newestEra,
      LogCheckpoint(
        era: era, size: told.leaves.count,
        text: SignedNote(text: checkpoint.text, signatures: [signature]).description),
      size <= told.leaves.count ? Self.root(told.leaves[..<size]) : nil
    )
  }

  private static func root(_ leaves: ArraySlice<MerkleHash>) -> MerkleHash {
    guard leaves.count > 1 else { return leaves.first ?? LogTree.emptyRoot }
    var half = 1
    while 2 * half < leaves.count { half *= 2 }
    return .node(root(leaves.prefix(half)), root(leaves.dropFirst(half)))
  }
}

@Suite(.timeLimit(.minutes(1))) final class LogHistoryTests {
  private let store = ToldLogStore()
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)

  init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }
  deinit { do { try FileManager.default.removeItem(at: folder) } catch {} }

  private static func leaf(_ number: Int) -> MerkleHash { .leaf(Array("\(number)".utf8)) }

  private func grow(to size: Int) {
    store.told.withLock { $0.leaves += ($0.leaves.count..<size).map(Self.leaf) }
  }

  /// A server's that starts now.
  private func history(era: Int64 = 0) throws -> LogHistory { try LogHistory(store: store, era: era, folder: folder) }

  private func expectGone(_ history: LogHistory, _ words: String) {
    let failure = #expect(throws: StoreFailure.self) { try history.check() }
    #expect(
      failure?.kind == .rolledBack && failure?.description.contains(words) == true, "\(String(describing: failure))")
    #expect(history.failure == failure)
  }

  private var file: URL {
    get throws {
      let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      return try #require(files.count == 1 ? files.first : nil)
    }
  }

  @Test func aLogThatGrowsIsFollowed() throws {
    let history = try history()
    for size in [0, 1, 1, 2, 255, 256, 257, 1000] {
      grow(to: size)
      try history.check()
      try self.history().check()
      let note = try SignedNote(String(contentsOf: file, encoding: .utf8))
      #expect(try Checkpoint(text: note.text).size == size)
    }
    #expect(history.failure == nil)
  }

  @Test(arguments: [true, false]) func aShorterLogHasGoneBack(isStarted: Bool) throws {
    let running = try history()
    grow(to: 300)
    try running.check()
    store.told.withLock { $0.leaves.removeLast() }
    let history = isStarted ? try history() : running
    expectGone(history, "has 299 entries, and had 300")
    // It does not get well by itself: what was drawn meanwhile is not what was lost.
    grow(to: 400)
    expectGone(history, "has 299 entries, and had 300")
  }

  @Test func otherEntriesAreNotThoseThatWere() throws {
    grow(to: 300)
    try history().check()
    for size in [300, 301, 900] {
      store.told.withLock { $0.leaves[17] = Self.leaf(18) }
      grow(to: size)
      expectGone(try history(), "the first 300 entries")
    }
  }

  @Test func aLogThatIsGoneHasGoneBack() throws {
    grow(to: 3)
    try history().check()
    store.told.withLock { $0.isThere = false }
    expectGone(try history(), "which had 3 entries")
  }

  @Test func aNewEraHasANewLog() throws {
    grow(to: 300)
    let history = try history()
    try history.check()
    store.told.withLock { ($0.newestEra, $0.leaves) = (1, []) }
    expectGone(history, "era 1 has begun")
    let next = try self.history(era: 1)
    try next.check()
    grow(to: 2)
    try next.check()
    #expect(try LogHistory.newestEra(of: store, in: folder) == 1)
    // The era before is gone back to.
    store.told.withLock { $0.newestEra = 0 }
    grow(to: 1000)
    expectGone(try self.history(), "era 1 had begun")
  }

  @Test func aDatabaseThatCannotBeReadHasNotGoneBack() throws {
    let history = try history()
    grow(to: 2)
    try history.check()
    store.told.withLock { $0.fails = true }
    #expect(throws: StoreFailure("a lock")) { try history.check() }
    #expect(history.failure == nil)
    store.told.withLock { $0.fails = false }
    try history.check()
  }

  @Test func aDamagedFileIsSaid() throws {
    grow(to: 2)
    try history().check()
    try Data("draw.example\n".utf8).write(to: file)
    let history = try history()
    let failure = #expect(throws: StoreFailure.self) { try history.check() }
    let path = try file.path
    #expect(failure?.kind == .permanent && failure?.description.contains(path) == true)
    #expect(history.failure == nil)
    #expect(throws: StoreFailure.self) { try LogHistory.newestEra(of: store, in: folder) }
    try FileManager.default.removeItem(at: file)
    try history.check()
  }

  @Test func whatSomebodyElseNoticedCountsToo() throws {
    let history = try history()
    history.stop("a witness has seen more")
    expectGone(history, "a witness has seen more")
    history.stop("another one too")
    expectGone(history, "a witness has seen more")
  }
}
