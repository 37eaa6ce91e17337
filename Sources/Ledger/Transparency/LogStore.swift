import Fairness

/// Where the continuous log lives: beside the ledger, in the same database.
///
/// How an entry gets into the log:
///
/// 1. The group that it is of queues it in its own transaction.
/// 2. A keeper, one over all servers, moves what is queued into the tree, in order, and removes it from the queue in the
///    same transaction: ``grow(_:)``.
/// 3. It signs what is durable, and nothing else: ``keep(checkpoint:ofSize:era:)``.
///
/// The tree of an era only ever grows, from the size that the database has. So whatever is cut short, by anyone, is done
/// again from there, and there is one root for a size.
public protocol LogStore: LogHistoryStore {
  // MARK: Keeping. These methods block, and are called from a thread that has nothing else to do.

  /// Begins the log of an era, unless it has begun.
  ///
  /// - Parameter origin: the name that its checkpoints shall have.
  /// - Returns: the name that they have, which is the one that the log began with.
  func beginLog(of era: Int64, origin: String) throws(StoreFailure) -> String

  /// Holds the log for some time, or holds it on.
  ///
  /// - Parameter keeper: a name that no other keeper has.
  /// - Returns: whether it is held; not while another keeper holds it.
  func holdLog(of era: Int64, by keeper: [UInt8], for time: Milliseconds) throws(StoreFailure) -> Bool

  /// How far the log of an era has come; nil if it was not begun.
  func log(of era: Int64) throws(StoreFailure) -> LogState?

  /// What is queued, the oldest first: up to 2000 groups, and some 400 KB at the most if it is more than one.
  ///
  /// - Returns: `hasMore` is whether there are others behind them.
  func queuedEntries() throws(StoreFailure) -> (groups: [QueuedEntries], hasMore: Bool)

  /// Adds to the tree and removes from the queue what was added: all of it, or nothing.
  ///
  /// - Returns: whether it was done; not if the log is not held by the keeper, or not of the size that the growth is from.
  func grow(_ growth: LogGrowth) throws(StoreFailure) -> Bool

  /// Keeps a signed checkpoint, unless there is one of that size or a larger one.
  func keep(checkpoint: String, ofSize size: Int, era: Int64) throws(StoreFailure)

  // MARK: Witnesses

  /// Claims the next round of asking the witnesses about the log of an era. Cosignatures of older checkpoints than
  /// ``LogCosignature/keeping`` are deleted, but for those of the newest cosigned one.
  ///
  /// - Parameter time: how long nobody may begin another round.
  /// - Returns: whether the round is the caller's; not if another round began less than its time ago.
  func claimCosigning(of era: Int64, for time: Milliseconds) async throws(StoreFailure) -> Bool

  /// Stores a cosignature, in the place of an older one by the same witness for the same checkpoint.
  func keep(_ cosignature: LogCosignature) async throws(StoreFailure)

  /// Shows that the log of an era, at one size, begins with what it had at another: see
  /// ``LogTree/consistencyProof(from:to:tile:)``.
  func consistencyProof(of era: Int64, from: Int, to: Int) async throws(StoreFailure) -> [MerkleHash]

  // MARK: Reading. From anywhere, at any time.

  /// The newest checkpoint of an era's log, with the cosignatures that it has; nil if there is none.
  func checkpoint(of era: Int64) async throws(StoreFailure) -> LogCheckpoint?

  /// Of the checkpoints whose cosignatures are kept, the one that most witnesses cosigned; of several the newest.
  ///
  /// - Returns: nil if no checkpoint was cosigned.
  func cosignedCheckpoint(of era: Int64) async throws(StoreFailure) -> LogCheckpoint?

  /// The hashes of a tile as far as they are there; none if there is no such tile.
  func logTile(at place: MerkleTile.Place, of era: Int64) async throws(StoreFailure) -> [UInt8]

  /// Up to 256 entries, numbers 256 × `number` and on, as far as they are there.
  func logEntries(_ number: Int, of era: Int64) async throws(StoreFailure) -> LogEntries

  /// How an era's log grew in the minutes of the last hour in which it grew, the oldest first.
  func growth(of era: Int64) async throws(StoreFailure) -> [LogMinute]

  /// Where in the log an outcome's entry is, and what proves that: under the checkpoint that most witnesses cosigned, of
  /// those that have the entry, or else under the newest.
  ///
  /// - Parameters:
  ///   - digest: what its entry has to be.
  ///   - drawn: when it was drawn.
  func place(of digest: LogDigest, drawn: Milliseconds) async throws(StoreFailure) -> LogPlace
}

/// How far a log has come.
public struct LogState: Sendable {
  /// How many entries it has.
  public let size: Int
  /// How many of them the newest checkpoint has.
  public let signedSize: Int
  /// The tiles at its right edge that are not full, by their levels; without that of the leaves, which the bundle gives.
  public let edge: [Int: MerkleTile]
  /// The entries after the last full 256.
  public let bundle: LogBundle

  public init(size: Int, signedSize: Int, edge: [Int: MerkleTile], bundle: LogBundle) {
    self.size = size
    self.signedSize = signedSize
    self.edge = edge
    self.bundle = bundle
  }
}

/// Up to 256 entries that are neighbours in a log.
public struct LogBundle: Sendable, Equatable {
  public static let width = MerkleTile.width

  /// Its first entry's number is 256 times this.
  public let number: Int
  public var entries: LogEntries
  /// When the outcomes among them were drawn; nil if there are none.
  public var drawn: ClosedRange<Milliseconds>?
  /// When entries were added, the oldest first.
  public var logged: [Step]

  /// At some time the bundle had so many entries. The time is 0 for what was added before times were recorded.
  public struct Step: Sendable, Equatable {
    public let count: Int
    public let time: Milliseconds
  }

  public init(
    number: Int, entries: LogEntries = LogEntries(), drawn: ClosedRange<Milliseconds>? = nil, logged: [Step] = []
  ) {
    self.number = number
    self.entries = entries
    self.drawn = drawn
    self.logged = logged
  }

  /// Records the time of what was added since it was last called.
  package mutating func mark(at time: Milliseconds) {
    guard entries.count > logged.last?.count ?? 0 else { return }
    logged.append(Step(count: entries.count, time: time))
  }

  /// When the entry of a place in the bundle was added; nil if that is not known.
  package static func time(ofEntry place: Int, in logged: [Step]) -> Milliseconds? {
    logged.first { place < $0.count }.flatMap { $0.time > 0 ? $0.time : nil }
  }
}

extension [LogBundle.Step] {
  /// Eight bytes each, the highest first: the time in six, the count in two.
  package var bytes: [UInt8] {
    flatMap { step in Swift.withUnsafeBytes(of: (step.time << 16 | Int64(step.count)).bigEndian) { [UInt8]($0) } }
  }

  /// - Returns: nil for what ``bytes`` does not write.
  package init?(bytes: [UInt8]) {
    guard bytes.count % 8 == 0 else { return nil }
    self = stride(from: 0, to: bytes.count, by: 8).map { start in
      let word = bytes[start..<start + 8].reduce(0) { $0 << 8 | Int64($1) }
      return LogBundle.Step(count: Int(word & 0xffff), time: word >> 16)
    }
  }
}

/// How a log grew in a minute.
public struct LogMinute: Sendable, Equatable {
  /// For how many minutes this is kept.
  public static let kept: Int64 = 60

  /// In Unix time.
  public let minute: Int64
  /// How many entries the log had before.
  public let firstSize: Int
  public let size: Int
  /// When it grew last.
  public let last: Milliseconds

  public init(minute: Int64, firstSize: Int, size: Int, last: Milliseconds) {
    self.minute = minute
    self.firstSize = firstSize
    self.size = size
    self.last = last
  }
}

/// What a group has queued.
public struct QueuedEntries: Sendable {
  public let id: Int64
  /// When the outcomes among them were drawn; nil if there are none.
  public let drawn: Milliseconds?
  public let entries: LogEntries

  public init(id: Int64, drawn: Milliseconds?, entries: LogEntries) {
    self.id = id
    self.drawn = drawn
    self.entries = entries
  }
}

/// A step in which a log grows.
public struct LogGrowth: Sendable {
  public let era: Int64
  public let keeper: [UInt8]
  public let time: Milliseconds
  public let from: Int
  public let to: Int
  /// Full ones, and those at the right edge as far as they go; none of level 0.
  public let tiles: [MerkleTile]
  public let bundles: [LogBundle]
  /// What was queued and is in the tree now.
  public let queued: [Int64]

  public init(
    era: Int64, keeper: [UInt8], time: Milliseconds, from: Int, to: Int, tiles: [MerkleTile], bundles: [LogBundle],
    queued: [Int64]
  ) {
    self.era = era
    self.keeper = keeper
    self.time = time
    self.from = from
    self.to = to
    self.tiles = tiles
    self.bundles = bundles
    self.queued = queued
  }
}

/// A signed statement of what a log has.
public struct LogCheckpoint: Sendable, Equatable {
  public let era: Int64
  public let size: Int
  /// A signed note: see ``SignedNote``.
  public let text: String

  public init(era: Int64, size: Int, text: String) {
    self.era = era
    self.size = size
    self.text = text
  }
}

/// A witness's cosignature of a checkpoint, as it is stored.
public struct LogCosignature: Sendable {
  /// For how long the cosignatures of a checkpoint are kept, in milliseconds, once a newer one was cosigned.
  public static let keeping: Milliseconds = 60_000

  public let era: Int64
  public let size: Int
  /// The witness's key.
  public let witness: String
  /// The checkpoint with the log's own signature: a signed note.
  public let checkpoint: String
  /// The line below it.
  public let line: String

  public init(era: Int64, size: Int, witness: String, checkpoint: String, line: String) {
    self.era = era
    self.size = size
    self.witness = witness
    self.checkpoint = checkpoint
    self.line = line
  }
}

/// What is found of an outcome in the log.
public enum LogPlace: Sendable {
  /// An outcome that is older than this, in milliseconds, is in the log, or something is wrong.
  public static let longestDelay: Milliseconds = 60_000

  /// Its entry has this number, was added at that time, if it is known, and is in the tree of the checkpoint.
  case proven(index: Int, logged: Milliseconds?, path: [MerkleHash], checkpoint: LogCheckpoint)
  /// It is not in the tree of the newest checkpoint.
  case missing
}
