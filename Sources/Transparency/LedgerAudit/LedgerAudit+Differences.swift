import Fairness
import Foundation
import Ledger

/// Finding out what exactly differs, once it is known that something does.
extension LedgerAudit {
  /// An entry of a log that is of an outcome or a revealed seed.
  struct LoggedEntry {
    let kind: UInt8
    let era: Int64
    /// nil while it waits for the log.
    let index: Int?

    var name: String { index.map { "entry \($0) of era \(era)" } ?? "an entry that waits for the log" }
  }

  /// So many entries and records are looked at more closely.
  private static let mostLookedAt = 300_000
  private static let mostExplained = 200

  /// What is in one pile and not in the other.
  private struct Difference {
    var logged: [LogDigest: LoggedEntry] = [:]
    var outcomes: [(record: RecordedOutcome, digest: LogDigest, times: ClosedRange<Milliseconds>)] = []
    var reveals: [(row: Audited<AuditedReveal>, reveal: AuditedReveal, digest: LogDigest)] = []
    /// The subjects of which it is not known which entry they had.
    var unexplained: [String] = []
    var more = 0
  }

  /// Reads everything again, and keeps what falls into the buckets that differ.
  mutating func findDifferences() throws {
    var differing = state.sums.differing
    guard !differing.isEmpty || !state.lost.isEmpty else { return state.advance(to: .done) }
    let each = max(1, (state.counts.entries + state.counts.outcomes) / AuditSums.buckets)
    let most = max(1, Self.mostLookedAt / each)
    let isPartial = differing.count > most
    differing = Array(differing.prefix(most))
    var buckets = [Bool](repeating: false, count: AuditSums.buckets)
    for bucket in differing { buckets[bucket] = true }
    let isSought = { [sums = state.sums] (kind: UInt8, digest: LogDigest) in buckets[sums.mark(kind, digest).bucket] }

    var difference = Difference()
    try collectLogged(isSought, &difference)
    try collectOutcomes(isSought, &difference)
    try collectReveals(isSought, &difference)
    try dropStragglers(&difference)
    explainOutcomes(&difference)
    explainReveals(&difference)
    reportEntries(difference)
    if isPartial || difference.more > 0 {
      state.note(
        "the log", "more than \(Self.mostLookedAt) records or entries differ; only some of them are named here")
    }
    state.advance(to: .done)
  }

  private mutating func collectLogged(
    _ isSought: (UInt8, LogDigest) -> Bool, _ difference: inout Difference
  ) throws {
    var repeated: [(subject: String, text: String)] = []
    var logged: [LogDigest: LoggedEntry] = [:]
    try forEachEntry { entry, place in
      let (kind, digest): (UInt8, LogDigest)
      switch entry {
      case .draw(let found): (kind, digest) = (Self.draws, found)
      case .reveal(let found): (kind, digest) = (Self.reveals, found)
      case .commit, .keys, .root: return
      }
      guard isSought(kind, digest) else { return }
      let found = LoggedEntry(kind: kind, era: place.era, index: place.index)
      if let other = logged.updateValue(found, forKey: digest), repeated.count < LedgerAuditState.mostFaults {
        repeated.append((found.name, "it repeats \(other.name)"))
      }
    }
    difference.logged = logged
    for (subject, text) in repeated { state.note(subject, text) }
  }

  /// Hands over all entries of the audit's scope, those that wait for the log last.
  func forEachEntry(
    from sizes: [Int64: Int] = [:], in scope: AuditScope? = nil, _ body: (LogEntry, (era: Int64, index: Int?)) -> Void
  ) throws {
    let scope = scope ?? state.scope
    for log in scope.logs {
      var number = sizes[log.era, default: 0] / MerkleTile.width
      while number * MerkleTile.width < log.size {
        tick()
        for bundle in try store.auditBundles(of: log.era, first: number, limit: Self.bundlesAtOnce) {
          guard case .success(let row) = bundle.row else { continue }
          var index = Int(bundle.number) * MerkleTile.width
          // One that cannot be read was named already, and ends its bundle.
          try? row.entries.forEachEntry { entry in
            if index >= sizes[log.era, default: 0], index < log.size { body(entry, (log.era, index)) }
            index += 1
          }
        }
        number += Self.bundlesAtOnce
      }
    }
    guard let era = scope.logs.last?.era else { return }
    do {
      try scope.waiting().forEachEntry { body($0, (era, nil)) }
    } catch let failure as StoreFailure where failure.kind == .damaged {
      // This was named when the queue was read.
    }
  }

  private mutating func collectOutcomes(
    _ isSought: (UInt8, LogDigest) -> Bool, _ difference: inout Difference
  ) throws {
    var after: Int64 = 0
    var last: Milliseconds?
    // An outcome that is not in the log waits for its successor, which tells until when it can have been drawn.
    var waiting: (record: RecordedOutcome, digest: LogDigest, since: Milliseconds)?
    func settle(until: Milliseconds, _ difference: inout Difference) {
      guard let found = waiting else { return }
      waiting = nil
      guard difference.outcomes.count < Self.mostLookedAt else {
        difference.more += 1
        return
      }
      difference.outcomes.append((found.record, found.digest, min(found.since, until)...max(found.since, until)))
    }
    while true {
      tick()
      let rows = try store.auditOutcomes(after: after, through: state.scope.lastOutcome)
      guard let end = rows.last?.number else { break }
      let outcomes = outcomes
      let digests = Self.sideBySide(rows) { row in (try? row.row.get()).map { outcomes.digest($0.outcome) } }
      for (row, digest) in zip(rows, digests) {
        guard case .success(let record) = row.row, let digest else { continue }
        settle(until: record.outcome.created, &difference)
        let created = record.outcome.created
        let isLogged = isSought(Self.draws, digest) && difference.logged.removeValue(forKey: digest) != nil
        // One that says to be older than the log, and stands after one that is not, may have been set back.
        let isOld = state.scope.isBeforeTheLog(created)
        let isSuspect = isOld ? !state.scope.isBeforeTheLog(last ?? created) : isSought(Self.draws, digest)
        if !isLogged, isSuspect { waiting = (record, digest, last ?? created) }
        last = created
      }
      for lost in try store.lostPredecessors(after: after, through: end) { lose(lost) }
      after = end
    }
    settle(until: state.scope.now, &difference)
  }

  private mutating func collectReveals(
    _ isSought: (UInt8, LogDigest) -> Bool, _ difference: inout Difference
  ) throws {
    var place = AuditPlace()
    while true {
      tick()
      let rows = try store.auditReveals(after: place)
      guard let end = rows.last else { return }
      for row in rows {
        guard case .success(let reveal) = row.row else { continue }
        let digest = reveal.seed.logDigest(reveal.clientSeed)
        guard isSought(Self.reveals, digest) else { continue }
        guard difference.logged.removeValue(forKey: digest) == nil,
          !state.scope.isBeforeTheLog(reveal.seed.revealed)
        else { continue }
        if difference.reveals.count < Self.mostLookedAt {
          difference.reveals.append((row, reveal, digest))
        } else {
          difference.more += 1
        }
      }
      place = end.place
    }
  }

  /// What was recorded while the audit went on is in the log by now, or waits for it.
  private func dropStragglers(_ difference: inout Difference) throws {
    guard !difference.outcomes.isEmpty || !difference.reveals.isEmpty else { return }
    let sizes = Dictionary(state.scope.logs.map { ($0.era, $0.size) }, uniquingKeysWith: { a, _ in a })
    var late: Set<LogDigest> = []
    let sought = Set(difference.outcomes.map(\.digest) + difference.reveals.map(\.digest))
    try forEachEntry(from: sizes, in: store.auditScope()) { entry, _ in
      switch entry {
      case .draw(let digest), .reveal(let digest): if sought.contains(digest) { late.insert(digest) }
      case .commit, .keys, .root: break
      }
    }
    difference.outcomes.removeAll { late.contains($0.digest) }
    difference.reveals.removeAll { late.contains($0.digest) }
  }

  // MARK: Explaining

  private func leaf(_ entry: LogEntry) -> Int? { state.strayLeaves[MerkleHash.leaf(entry.bytes).description] }

  /// Forgets an entry that was changed, of which only the tile still tells what it was.
  private func forget(entry index: Int, _ difference: inout Difference) {
    difference.logged = difference.logged.filter { $0.value.index != index }
  }

  private mutating func explainOutcomes(_ difference: inout Difference) {
    var explained = 0
    for (record, digest, times) in difference.outcomes {
      tick()
      let outcome = record.outcome
      if let index = leaf(.draw(digest)) {
        forget(entry: index, &difference)
        continue
      }
      let name = "outcome \(outcomes.name(outcome.id))"
      let isOld = state.scope.isBeforeTheLog(outcome.created)
      guard difference.logged.values.contains(where: { $0.kind == Self.draws }) else {
        if !isOld { state.note(name, "it is not in the log: it was added afterwards, or never logged") }
        continue
      }
      explained += 1
      guard explained <= Self.mostExplained else {
        state.note(name, "it is not in the log as it is recorded")
        continue
      }
      let logged = difference.logged
      let explanation = outcomes.explain(
        record, .init(times: times, isLogged: { logged[$0]?.kind == Self.draws }))
      if let found = explanation.logged {
        difference.logged[found] = nil
      } else if isOld {
        continue
      } else {
        difference.unexplained.append(name)
      }
      state.note(name, "it is not what was logged: \(explanation.text)")
    }
  }

  private mutating func explainReveals(_ difference: inout Difference) {
    for (row, reveal, digest) in difference.reveals {
      if let index = leaf(.reveal(digest)) {
        forget(entry: index, &difference)
        continue
      }
      let name = Self.name(row)
      let logged = difference.logged
      let (text, found) = Self.explain(reveal, seeds) { logged[$0]?.kind == Self.reveals }
      if let found { difference.logged[found] = nil } else { difference.unexplained.append(name) }
      state.note(name, "it is not what was logged: \(text)")
    }
  }

  private static func explain(
    _ reveal: AuditedReveal, _ seeds: ChainSeeds, _ isLogged: (LogDigest) -> Bool
  ) -> (text: String, logged: LogDigest?) {
    let seed = reveal.seed
    func changed(
      seed other: ServerSeed? = nil, hash: ServerHash? = nil, cursor: Int64? = nil, nonce: Int64? = nil
    ) -> LogDigest? {
      let candidate = RevealedSeed(
        chain: seed.chain, owner: seed.owner, era: seed.era, epoch: seed.epoch, seed: other ?? seed.seed,
        hash: hash ?? seed.hash, cursor: cursor ?? seed.cursor, nonce: nonce ?? seed.nonce, revealed: seed.revealed)
      let digest = candidate.logDigest(reveal.clientSeed)
      return isLogged(digest) ? digest : nil
    }
    if let found = changed(hash: seed.seed.hash) {
      return ("its hash was changed: it was \(seed.seed.hash.hex)", found)
    }
    if !seed.owner.isNobody {
      let expected = seeds.seed(
        of: ChainKey(owner: seed.owner, clientSeed: reveal.clientSeed), era: seed.era, epoch: seed.epoch)
      if let found = changed(seed: expected.seed) { return ("the seed was changed", found) }
      if let found = changed(seed: expected.seed, hash: expected.hash) {
        return ("the seed was changed, and its hash", found)
      }
    }
    for distance in Int64(-500)...500 {
      if seed.nonce + distance >= 0, let found = changed(nonce: seed.nonce + distance) {
        return ("its nonce was changed: it was \(seed.nonce + distance)", found)
      }
      if seed.cursor + distance >= 0, let found = changed(cursor: seed.cursor + distance) {
        return ("its cursor was changed: it was \(seed.cursor + distance)", found)
      }
    }
    if let fault = fault(of: reveal, seeds) { return (fault, nil) }
    return ("the time, the cursor or the nonce of its reveal was changed, or it was never logged", nil)
  }

  /// Entries that are of nothing that is recorded.
  private mutating func reportEntries(_ difference: Difference) {
    for id in state.lost {
      state.note(
        "outcome \(outcomes.name(id))",
        "it is not recorded any more: a later outcome of its chain, or the chain itself, names it")
    }
    for (kind, what, lost) in [
      (Self.draws, "an outcome", state.lost.count), (Self.reveals, "a revealed server seed", 0),
    ] {
      let left = difference.logged.values.filter { $0.kind == kind }.sorted { $0.index ?? .max < $1.index ?? .max }
      let unexplained = difference.unexplained.count { ($0.hasPrefix("outcome ")) == (kind == Self.draws) }
      let names = left.prefix(20).map(\.name).joined(separator: ", ") + (left.count > 20 ? ", …" : "")
      let gone = left.count - unexplained
      guard gone > 0 else { continue }
      state.note(
        "the log",
        unexplained == 0
          ? "\(names): of \(what) that is not recorded any more"
            + (lost > 0 ? "" : "; it cannot be told which")
          : "\(gone) of \(names): of \(what) that is not recorded any more")
    }
  }
}
