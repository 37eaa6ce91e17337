import Fairness
import Ledger
import LedgerSimulation
import Testing

/// What a group adds to the continuous log, whoever computes it.
@Suite struct GroupLogTests {
  private func decide(_ group: [Submission]) -> Changes {
    var entropy = SplitMix64(state: 1)
    let snapshot = MemoryLedger().snapshot(Needs(of: group), now: newYear)
    return decider.decide(group, snapshot: snapshot, entropy: &entropy).changes
  }

  private func batch(_ draws: Int) -> Submission {
    let entries = (0..<draws).map { BatchEntry.draw(.ints("test \($0)"), id: nil) }
    return Submission(caller: .anonymous, operation: .batch(entries, isAtomic: false))
  }

  private func lines(_ log: GroupLog) throws -> [String] {
    var lines: [String] = []
    try log.entries.forEachEntry { lines.append(text($0.bytes)) }
    return lines
  }

  /// 1 draw is computed where it is asked for, 300 on a thread beside.
  @Test(arguments: [1, 50, 6 * 50]) func everyOutcomeHasItsEntryInItsPlace(draws: Int) async throws {
    let commit = Submission(caller: .anonymous, operation: .commit)
    let group = [commit] + (0..<max(1, draws / 50)).map { _ in batch(min(draws, 50)) } + [commit]
    let changes = decide(group)
    let outcomes = changes.outcomes.map { outcome in
      LogEntry.draw(LogDigest(of: outcome.logText(decider.renderer.shortID(of: outcome))))
    }
    let commitments = changes.newCommitments.map { LogEntry.commit($0.logDigest) }
    try #require(outcomes.count == draws && commitments.count == 2)
    let expected = ([commitments[0]] + outcomes + [commitments[1]]).map { text($0.bytes) }

    changes.log.begin()
    try await withThrowingTaskGroup(of: [String].self) { tasks in
      for _ in 0..<4 { tasks.addTask { try lines(changes.log) } }
      for try await found in tasks { #expect(found == expected) }
    }
    #expect(changes.log.entries.count == draws + 2 && !changes.log.isEmpty)
  }

  @Test func aGroupThatOnlyAsksAddsNothing() {
    let log = decide([Submission(caller: .anonymous, operation: .seed(seed("test")))]).log
    #expect(log.isEmpty && log.entries.isEmpty)
  }
}
