import Fairness

/// What is remembered of a log between two audits.
public struct FollowedLog: Codable, Sendable, Equatable {
  /// The key that signs the log: name, hash and base64.
  public let key: String
  /// The newest checkpoint whose tree was recomputed, as the log signed it, and its complete subtrees.
  public fileprivate(set) var verified: String?
  public fileprivate(set) var verifiedSubtrees: [String] = []
  /// The checkpoint that is being read up to, as the log signed it: nil if that is done.
  public fileprivate(set) var target: String?
  /// The number of entries that were read.
  public fileprivate(set) var size = 0
  /// The roots of the complete subtrees of their tree, from the left, in hex.
  public fileprivate(set) var subtrees: [String] = []
  /// The log's first entry.
  public fileprivate(set) var first: String?

  public init(key: String) { self.key = key }
}

/// What a log did that no honest log does.
public enum LogFault: Error, Equatable, Sendable, CustomStringConvertible {
  case shrank(size: Int, seen: Int)
  case forked(size: Int)
  case entriesGiveAnotherRoot(size: Int)
  case malformedEntry(Int)
  case noKeys
  case otherKeys
  case keysAgain(Int)

  public var description: String {
    switch self {
    case .shrank(let size, let seen):
      "the log shrank: it has \(size) entries, and a checkpoint with \(seen) entries was signed before"
    case .forked(let size):
      "the log forked: its tree does not continue the tree of \(size) entries that was signed before"
    case .entriesGiveAnotherRoot(let size):
      "the log's entries do not give the root that was signed for \(size) entries"
    case .malformedEntry(let index): "entry \(index) is not an entry of this kind of log"
    case .noKeys: "the first entry does not name the keys of the log's era"
    case .otherKeys: "the first entry names other keys than the server does"
    case .keysAgain(let index): "entry \(index) names keys, which only the first entry may do"
    }
  }
}

/// Follows a log from checkpoint to checkpoint: recomputes its tree from its entries, and holds each root that was signed
/// against it. It remembers checkpoints and some 64 hashes, so each audit reads only the entries that are new.
public struct LogFollower: Sendable {
  public let checkpoint: Checkpoint
  private let note: SignedNote
  /// The checkpoints that were seen before, the newest first.
  public let earlier: [Checkpoint]
  private var log: FollowedLog
  private var range: CompactRange
  /// The roots that were signed, by sizes that are still to be reached.
  private var expected: [Int: MerkleHash] = [:]

  /// What is remembered of the log does not belong together.
  public struct UnreadableState: Error, Sendable, CustomStringConvertible {
    public var description: String { "its contents do not belong together" }
  }

  /// - Parameters:
  ///   - note: the newest checkpoint, whose signatures were checked.
  ///   - fromTheBeginning: whether all entries are read again.
  /// - Throws: ``LogFault`` if the log did not only grow; ``UnreadableState``.
  public init(_ log: FollowedLog, note: SignedNote, checkpoint: Checkpoint, fromTheBeginning: Bool = false) throws {
    self.log = log
    self.note = note
    self.checkpoint = checkpoint
    do {
      earlier = try [log.target, log.verified].compactMap { $0 }.map { try Checkpoint(text: SignedNote($0).text) }
      let subtrees = try log.subtrees.map { try MerkleHash(hex: $0.utf8) }
      guard let known = CompactRange(size: log.size, subtrees: subtrees), known.size <= earlier.first?.size ?? 0 else {
        throw UnreadableState()
      }
      range = fromTheBeginning ? CompactRange() : known
    } catch {
      throw UnreadableState()
    }
    for seen in earlier + [checkpoint] {
      guard seen.size <= checkpoint.size else { throw LogFault.shrank(size: checkpoint.size, seen: seen.size) }
      guard expected[seen.size] ?? seen.root == seen.root else { throw LogFault.forked(size: seen.size) }
      expected[seen.size] = seen.root
    }
    try check()
  }

  /// The number of entries that were read.
  public var size: Int { range.size }
  public var isDone: Bool { size == checkpoint.size }

  /// What is to be remembered.
  public var state: FollowedLog {
    var log = log
    log.size = size
    log.subtrees = range.subtrees.map(\.description)
    log.target = isDone ? nil : note.description
    if isDone {
      log.verified = note.description
      log.verifiedSubtrees = log.subtrees
    }
    return log
  }

  /// What is to be remembered if the entries turned out not to be the log's: they will be read again, and the checkpoint is
  /// kept as what the log signed.
  public var stateWithoutEntries: FollowedLog {
    var log = log
    log.size = earlier.last.flatMap { log.verified == nil ? nil : $0.size } ?? 0
    log.subtrees = log.verifiedSubtrees
    log.target = note.description
    return log
  }

  /// Adds the next entry.
  ///
  /// - Throws: ``LogFault``.
  public mutating func append(_ line: [UInt8]) throws(LogFault) {
    guard let entry = LogEntry(line) else { throw .malformedEntry(size) }
    if case .keys = entry {
      guard size == 0 else { throw .keysAgain(size) }
      log.first = String(decoding: line, as: UTF8.self)
    } else if size == 0 {
      throw .noKeys
    }
    range.append(.leaf(line))
    try check()
  }

  private func check() throws(LogFault) {
    guard let root = expected[size], root != range.root else { return }
    throw .entriesGiveAnotherRoot(size: size)
  }

  /// Whether the log's first entry names these keys.
  public func names(era: UInt64, vrf: [UInt8], daily: [UInt8]) -> Bool {
    log.first.flatMap { LogEntry(Array($0.utf8)) } == .keys(era: era, vrf: vrf, daily: daily)
  }
}
