import Fairness
import Foundation
import Ledger

/// How far the second reading of a database has come, which finds out what differs: the entries and records that fall into
/// the buckets of ``AuditSums`` that do.
struct AuditSearch: Codable, Sendable {
  enum Step: String, Codable {
    case entries, outcomes, reveals, comparison
  }

  /// An entry of a log that is of an outcome or a revealed seed.
  struct Entry: Codable, Sendable {
    let digest: LogDigest
    let kind: UInt8
    let era: Int64
    /// nil while it waits for the log.
    let index: Int?

    var name: String { index.map { "entry \($0) of era \(era)" } ?? "an entry that waits for the log" }
  }

  struct Outcome: Codable, Sendable {
    let digest: LogDigest
    let id: Int64
    let created: Milliseconds
    /// When the outcome before it was drawn, and the one after it.
    let since: Milliseconds
    var until: Milliseconds?
  }

  struct Reveal: Codable, Sendable {
    let digest: LogDigest
    /// The place of the row before it.
    let after: AuditPlace
  }

  /// So many of each kind are looked at more closely.
  static let most = 300_000

  /// A 1 for each bucket that differs, and a 0 for any other.
  private let buckets: Data
  /// Whether more differs than is looked at.
  private(set) var isPartial: Bool
  var step = Step.entries
  /// Which of the logs is read, and from which bundle on.
  var log = 0
  var bundle = 0
  var lastOutcome: Int64 = 0
  /// When that outcome was drawn.
  var lastDrawn: Milliseconds?
  var place = AuditPlace()
  private(set) var entries: [Entry] = []
  private(set) var outcomes: [Outcome] = []
  private(set) var reveals: [Reveal] = []

  init(_ sums: AuditSums, of counts: LedgerAuditState.Counts) {
    let differing = sums.differing
    let each = max(1, (counts.entries + counts.outcomes) / AuditSums.buckets)
    let most = max(1, Self.most / each)
    isPartial = differing.count > most
    var buckets = Data(count: AuditSums.buckets)
    for bucket in differing.prefix(most) { buckets[bucket] = 1 }
    self.buckets = buckets
  }

  func isSought(_ mark: AuditSums.Mark) -> Bool { buckets[mark.bucket] == 1 }

  mutating func found(_ entry: Entry) { add(entry, to: \.entries) }

  mutating func found(_ reveal: Reveal) { add(reveal, to: \.reveals) }

  /// An outcome that is looked at waits for its successor, which tells until when it can have been drawn.
  mutating func found(_ outcome: Outcome) { add(outcome, to: \.outcomes) }

  /// Tells when the outcome after those that were found was drawn.
  mutating func settle(until moment: Milliseconds) {
    guard let last = outcomes.indices.last, outcomes[last].until == nil else { return }
    outcomes[last].until = moment
  }

  private mutating func add<Found>(_ found: Found, to list: WritableKeyPath<Self, [Found]>) {
    if self[keyPath: list].count < Self.most { self[keyPath: list].append(found) } else { isPartial = true }
  }
}
