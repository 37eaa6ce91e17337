import Fairness
import Foundation
import Ledger

/// How far an audit of a database has come.
public struct LedgerAuditState: Codable, Sendable {
  enum Step: String, Codable, CaseIterable {
    case log, outcomes, reveals, chains, commitments, differences, done
  }

  /// Which database is audited.
  public let database: String
  let scope: AuditScope
  var step = Step.log
  var sums = AuditSums()
  /// Where it is in the log of an era.
  var tree: AuditedTree
  /// Which of the logs that is.
  var log = 0
  /// The daily roots that are in the logs.
  var rootDates: Set<String> = []
  var lastOutcome: Int64 = 0
  var place = AuditPlace()
  var counts = Counts()
  /// What is wrong, by what it is wrong with.
  var faults: [String: String] = [:]
  var moreFaults = 0
  var changedBundles: [LedgerAudit.ChangedBundle] = []
  /// What was found of what differs; nil until that is looked for.
  var search: AuditSearch?
  /// Outcomes that are not there though chains or other outcomes lead to them.
  var lost: Set<Int64> = []

  struct Counts: Codable, Sendable {
    var entries = 0
    var outcomes = 0
    /// Those whose server seeds are revealed, and whose values were computed again.
    var recomputed = 0
    var reveals = 0
    /// Server seeds of commitments among them, that were revealed before the audit.
    var revealedCommitments = 0
    var chains = 0
    var commitments = 0
    /// Commitments that say so themselves.
    var usedCommitments = 0
    var beforeTheLog = 0
  }

  /// The most faults that are named.
  static let mostFaults = 1000

  public init(database: String, scope: AuditScope) {
    self.database = database
    self.scope = scope
    tree = AuditedTree()
  }

  mutating func note(_ subject: String, _ text: String) {
    guard faults.count < Self.mostFaults || faults[subject] != nil else {
      moreFaults += 1
      return
    }
    faults[subject] = text
  }

  public var isDone: Bool { step == .done }

  mutating func advance(to step: Step) {
    self.step = step
    place = AuditPlace()
  }

  /// The share of the work that is done, in thousandths, and what is being done.
  public var progress: (done: Int, what: String) {
    let entries = max(scope.logs.reduce(0) { $0 + $1.size }, 1)
    switch step {
    case .log: return (300 * min(counts.entries, entries) / entries, "reading the log")
    case .outcomes:
      let share = Int(500 * min(lastOutcome, scope.lastOutcome) / max(scope.lastOutcome, 1))
      return (300 + share, "recomputing outcomes")
    case .reveals: return (800, "checking revealed seeds")
    case .chains: return (850, "checking chains")
    case .commitments: return (900, "checking commitments")
    case .differences:
      let share = Int(48 * min(search?.lastOutcome ?? 0, scope.lastOutcome) / max(scope.lastOutcome, 1))
      return (950 + share, "looking for what differs")
    case .done: return (1000, "")
    }
  }
}

/// The tree of a log's entries as far as they were read, with what is missing of the tiles that they give.
struct AuditedTree: Codable, Sendable {
  var bundle = 0
  var size = 0
  var subtrees: [String] = []
  /// The hashes of the tiles being filled above the leaves: levels 8, 16, ….
  var filling: [Data] = []
  /// How many tiles of each of those levels were full.
  var full: [Int: Int] = [:]
  /// nil until the size of the checkpoint is reached.
  var isRootSigned: Bool?
  /// Places at which a tile does not have what the entries give, by level, with the number of the first hash.
  var differing: [Place] = []
  var moreDiffering = 0

  struct Place: Codable, Sendable, Equatable {
    let level: Int
    let index: Int
  }

  /// The number of the tile that is being filled at a level.
  func tile(at level: Int) -> Int { full[level, default: 0] }

  mutating func note(level: Int, index: Int) {
    guard differing.count < 100 else {
      moreDiffering += 1
      return
    }
    differing.append(Place(level: level, index: index))
  }
}
