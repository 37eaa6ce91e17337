import Fairness
import Foundation
import Ledger

/// Finding out what exactly differs, once it is known that something does.
extension LedgerAudit {
  private static let mostExplained = 200

  /// What is in one pile and not in the other.
  private struct Difference {
    var logged: [LogDigest: AuditSearch.Entry] = [:]
    var outcomes: [AuditSearch.Outcome] = []
    var reveals: [AuditSearch.Reveal] = []
    /// The subjects of which it is not known which entry they had.
    var unexplained: [String] = []
  }

  /// Reads everything again in parts, keeps what falls into the buckets that differ, and compares that in the end.
  mutating func findDifferences() throws {
    guard var search = state.search else {
      guard !state.sums.differing.isEmpty || !state.lost.isEmpty else { return finish() }
      state.search = AuditSearch(state.sums, of: state.counts)
      return
    }
    state.search = nil  // so that what it holds is not copied
    defer { state.search = search }
    switch search.step {
    case .entries: try collectEntries(&search)
    case .outcomes: try collectOutcomes(&search)
    case .reveals: try collectReveals(&search)
    case .comparison:
      try compare(search)
      finish()
    }
  }

  private mutating func finish() {
    noteChangedBundles()
    state.advance(to: .done)
  }

  private func collectEntries(_ search: inout AuditSearch) throws {
    let logs = state.scope.logs
    func collect(_ entry: LogEntry, _ era: Int64, _ index: Int?) {
      let (kind, digest): (UInt8, LogDigest)
      switch entry {
      case .draw(let found): (kind, digest) = (Self.draws, found)
      case .reveal(let found): (kind, digest) = (Self.reveals, found)
      case .commit, .keys, .root: return
      }
      guard search.isSought(state.sums.mark(kind, digest)) else { return }
      search.found(AuditSearch.Entry(digest: digest, kind: kind, era: era, index: index))
    }
    guard search.log < logs.count else {
      if let era = logs.last?.era { try forEachWaiting(in: state.scope) { collect($0, era, nil) } }
      search.step = .outcomes
      return
    }
    let log = logs[search.log]
    try forEachEntry(of: log, bundle: search.bundle) { collect($0, log.era, $1) }
    search.bundle += Self.bundlesAtOnce
    if search.bundle * MerkleTile.width >= log.size { (search.log, search.bundle) = (search.log + 1, 0) }
  }

  /// Hands over the entries of up to ``bundlesAtOnce`` bundles of a log, as far as the audit's scope goes.
  private func forEachEntry(of log: AuditScope.Log, bundle: Int, _ body: (LogEntry, Int) -> Void) throws {
    for bundle in try store.auditBundles(of: log.era, first: bundle, limit: Self.bundlesAtOnce) {
      guard case .success(let row) = bundle.row else { continue }
      var index = Int(bundle.number) * MerkleTile.width
      do {
        try row.entries.forEachEntry { entry in
          if index < log.size { body(entry, index) }
          index += 1
        }
      } catch let failure as StoreFailure where failure.kind == .damaged {
        // This was named when the log was read, and ends its bundle.
      }
    }
  }

  /// Hands over the entries that waited for the log.
  private func forEachWaiting(in scope: AuditScope, _ body: (LogEntry) -> Void) throws {
    do {
      try scope.waiting().forEachEntry(body)
    } catch let failure as StoreFailure where failure.kind == .damaged {
      // This was named when the queue was read.
    }
  }

  /// Hands over all entries of a scope from given sizes of its logs on, those that wait for the log last.
  func forEachEntry(
    from sizes: [Int64: Int] = [:], in scope: AuditScope? = nil, _ body: (LogEntry) -> Void
  ) throws {
    let scope = scope ?? state.scope
    for log in scope.logs {
      let size = sizes[log.era, default: 0]
      let end = (log.size + MerkleTile.width - 1) / MerkleTile.width
      for bundle in stride(from: size / MerkleTile.width, to: end, by: Self.bundlesAtOnce) {
        tick()
        try forEachEntry(of: log, bundle: bundle) { entry, index in if index >= size { body(entry) } }
      }
    }
    if !scope.logs.isEmpty { try forEachWaiting(in: scope, body) }
  }

  private mutating func collectOutcomes(_ search: inout AuditSearch) throws {
    let rows = try store.auditOutcomes(after: search.lastOutcome, through: state.scope.lastOutcome)
    guard let end = rows.last?.number else {
      search.settle(until: state.scope.now)
      search.step = .reveals
      return
    }
    let outcomes = outcomes
    let digests = Self.sideBySide(rows) { row in (try? row.row.get()).map { outcomes.digest($0.outcome) } }
    for (row, digest) in zip(rows, digests) {
      guard case .success(let record) = row.row, let digest else { continue }
      let created = record.outcome.created
      search.settle(until: created)
      let last = search.lastDrawn ?? created
      // One that says to be older than the log, and stands after one that is not, may have been set back.
      let isSuspect = state.scope.isBeforeTheLog(created) && !state.scope.isBeforeTheLog(last)
      if isSuspect || search.isSought(state.sums.mark(Self.draws, digest)) {
        search.found(AuditSearch.Outcome(digest: digest, id: row.number, created: created, since: last))
      }
      search.lastDrawn = created
    }
    for lost in try store.lostPredecessors(after: search.lastOutcome, through: end) { lose(lost) }
    search.lastOutcome = end
  }

  private func collectReveals(_ search: inout AuditSearch) throws {
    let rows = try store.auditReveals(after: search.place)
    if rows.isEmpty { search.step = .comparison }
    for row in rows {
      defer { search.place = row.place }
      guard case .success(let reveal) = row.row else { continue }
      let digest = reveal.seed.logDigest(reveal.clientSeed)
      guard search.isSought(state.sums.mark(Self.reveals, digest)) else { continue }
      search.found(AuditSearch.Reveal(digest: digest, after: search.place))
    }
  }

  // MARK: Comparing

  private mutating func compare(_ search: AuditSearch) throws {
    var difference = Difference()
    for entry in search.entries {
      guard let other = difference.logged.updateValue(entry, forKey: entry.digest) else { continue }
      state.note(entry.name, "it repeats \(other.name)")
    }
    // What is older than the log, and not in it, is not looked at, unless it stands after something that is newer.
    difference.outcomes = search.outcomes.filter { outcome in
      difference.logged.removeValue(forKey: outcome.digest) == nil
        && (!state.scope.isBeforeTheLog(outcome.created) || !state.scope.isBeforeTheLog(outcome.since))
    }
    difference.reveals = search.reveals.filter { difference.logged.removeValue(forKey: $0.digest) == nil }
    try dropStragglers(&difference)
    try explainOutcomes(&difference)
    try explainReveals(&difference)
    var texts = unrecorded(difference)
    if search.isPartial {
      texts.append("more than \(AuditSearch.most) records or entries differ; only some of them are named here")
    }
    if !texts.isEmpty { state.note("the log", texts.joined(separator: "; ")) }
  }

  /// What was recorded while the audit went on is in the log by now, or waits for it.
  private func dropStragglers(_ difference: inout Difference) throws {
    guard !difference.outcomes.isEmpty || !difference.reveals.isEmpty else { return }
    let sizes = Dictionary(state.scope.logs.map { ($0.era, $0.size) }, uniquingKeysWith: { a, _ in a })
    var late: Set<LogDigest> = []
    let sought = Set(difference.outcomes.map(\.digest) + difference.reveals.map(\.digest))
    try forEachEntry(from: sizes, in: store.auditScope()) { entry in
      switch entry {
      case .draw(let digest), .reveal(let digest): if sought.contains(digest) { late.insert(digest) }
      case .commit, .keys, .root: break
      }
    }
    difference.outcomes.removeAll { late.contains($0.digest) }
    difference.reveals.removeAll { late.contains($0.digest) }
  }

  // MARK: Explaining

  /// Forgets an entry that was changed.
  private func forget(entry index: Int, _ difference: inout Difference) {
    difference.logged = difference.logged.filter { $0.value.index != index }
  }

  private mutating func explainOutcomes(_ difference: inout Difference) throws {
    var explained = 0
    for outcome in difference.outcomes {
      tick()
      if let index = try change(of: .draw(outcome.digest)) {
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
      let rows = try store.auditOutcomes(after: outcome.id - 1, through: outcome.id)
      guard case .success(let record)? = rows.first?.row else { continue }  // which it was when it was looked at
      let until = outcome.until ?? state.scope.now
      let logged = difference.logged
      let explanation = outcomes.explain(
        record,
        .init(
          times: min(outcome.since, until)...max(outcome.since, until),
          isLogged: { logged[$0]?.kind == Self.draws }))
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

  private mutating func explainReveals(_ difference: inout Difference) throws {
    for found in difference.reveals {
      tick()
      if let index = try change(of: .reveal(found.digest)) {
        forget(entry: index, &difference)
        continue
      }
      guard let row = try store.auditReveals(after: found.after).first, case .success(let reveal) = row.row else {
        continue  // which it was when it was looked at
      }
      guard !state.scope.isBeforeTheLog(reveal.seed.revealed) else { continue }
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

  /// Notes the outcomes that are gone, and says which entries are of nothing that is recorded.
  private mutating func unrecorded(_ difference: Difference) -> [String] {
    for id in state.lost {
      state.note(
        "outcome \(outcomes.name(id))",
        "it is not recorded any more: a later outcome of its chain, or the chain itself, names it")
    }
    return [
      (Self.draws, "an outcome", state.lost.count), (Self.reveals, "a revealed server seed", 0),
    ].compactMap { kind, what, lost in
      let left = difference.logged.values.filter { $0.kind == kind }.sorted { $0.index ?? .max < $1.index ?? .max }
      let unexplained = difference.unexplained.count { ($0.hasPrefix("outcome ")) == (kind == Self.draws) }
      let names = left.prefix(20).map(\.name).joined(separator: ", ") + (left.count > 20 ? ", …" : "")
      let gone = left.count - unexplained
      guard gone > 0 else { return nil }
      guard unexplained == 0 else { return "\(gone) of \(names): of \(what) that is not recorded any more" }
      return "\(names): of \(what) that is not recorded any more" + (lost > 0 ? "" : ", and it cannot be told which")
    }
  }
}
