import Fairness
import Foundation
import Ledger

/// Commitments: each that is recorded is in the log. The log has more of them, since those that were never revealed are
/// deleted a day after they expired.
extension LedgerAudit {
  /// So many are looked for at a time.
  private static let commitmentsAtOnce = 500_000

  mutating func checkCommitments() throws {
    var sought: [LogDigest: Commitment] = [:]
    while sought.count < Self.commitmentsAtOnce {
      tick()
      let rows = try store.auditCommitments(after: state.place)
      guard let last = rows.last else { break }
      for row in rows { take(row, &sought) }
      state.place = last.place
    }
    guard !sought.isEmpty else {
      compareCounts()
      return state.advance(to: .differences)
    }
    state.counts.commitments += sought.count
    func find(_ entry: LogEntry) { if case .commit(let digest) = entry { sought[digest] = nil } }
    try forEachEntry(find)
    if !sought.isEmpty {
      // One that was made while the audit went on is in the log by now, or waits for it.
      let sizes = Dictionary(state.scope.logs.map { ($0.era, $0.size) }, uniquingKeysWith: { a, _ in a })
      try forEachEntry(from: sizes, in: store.auditScope(), find)
    }
    for (digest, commitment) in sought {
      if try change(of: .commit(digest)) != nil { continue }
      if state.scope.isBeforeTheLog(commitment.created) {
        state.counts.beforeTheLog += 1
      } else {
        state.note(
          "commitment \(commitment.id)", "it is not what was logged: its id, its seed or one of its times was changed")
      }
    }
  }

  private mutating func take(_ row: Audited<AuditedCommitment>, _ sought: inout [LogDigest: Commitment]) {
    let found: AuditedCommitment
    do { found = try row.row.get() } catch {
      return state.note("the commitment of chain \(row.number)", "it cannot be read: \(error)")
    }
    let commitment = found.commitment
    // What test keys do is not in the log.
    guard commitment.owner.rawValue >= 0 else { return }
    let name = "commitment \(commitment.id)"
    if commitment.active.hash.bytes != found.serverHash {
      state.note(name, "its server hash is not the one of its seed")
    }
    sought[commitment.logDigest] = commitment
    guard let use = commitment.use else { return }
    if use.revealed <= state.scope.now { state.counts.usedCommitments += 1 }
    if found.revealedSeed != commitment.active.seed.ascii {
      state.note(name, "the server seed that was revealed of it is another, or not recorded any more")
    }
  }

  /// A commitment whose seed was revealed is never deleted. Those that are revealed meanwhile are among the commitments, which
  /// are read after the seeds.
  private mutating func compareCounts() {
    let missing = state.counts.revealedCommitments - state.counts.usedCommitments
    guard missing > 0 else { return }
    state.note("the commitments", "\(missing) that were revealed are not recorded any more, or not as revealed")
  }
}
