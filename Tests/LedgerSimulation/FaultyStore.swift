import Fairness
import Foundation
import Ledger
import Synchronization

/// A ``MemoryLedger``, or another store, with the moods of a database: it is slow, refuses, loses its connection after a
/// commit, or hangs until it is released.
package final class FaultyStore: LedgerStore {
  package enum Mood: Sendable, CaseIterable {
    case well, slow
    /// Fails before anything is asked of what is stored.
    case failing
    /// The same, and every group would.
    case failingWholly
    /// Fails when the group was decided and nearly stored.
    case failingInside
    /// Fails when the group was applied and is to be made durable. It is, later.
    case failingToFlush
    /// Fails when the group was stored.
    case failingAfterCommit
    /// Has the group decided twice, as a database does that makes a transaction start over.
    case startingOver
    /// Hangs before anything is asked, and when the group is stored, until it is released.
    case hanging, hangingAfterCommit

    var isFault: Bool {
      [.failing, .failingWholly, .failingInside, .failingToFlush, .failingAfterCommit].contains(self)
    }
  }

  package struct Content: Sendable {
    package var ledger: MemoryLedger
    /// Why a group with these needs is refused, if it is.
    var refusal: @Sendable (Needs) -> StoreFailure? = { _ in nil }
    /// The mood of each group; asked once a group.
    var mood: @Sendable (inout SplitMix64) -> Mood = { _ in .well }
    /// The mood of the next group, if it is settled.
    package var nextMood: Mood?
    /// What shows as damaged.
    package var damage: [Need: StoreFailure] = [:]
    package var random = SplitMix64(state: 0)
    package var now: Milliseconds?
    /// Groups that were begun.
    package var begun = 0
    /// Groups that are applied.
    package var committed = 0
    /// The submissions and draws of each group that was committed.
    package var groups: [(submissions: Int, draws: Int)] = []
    /// When the last group was decided.
    package var decided: Milliseconds?
    /// What would have been answered to groups that were stored and failed, by the failures.
    package var lost: [String: [Reply]] = [:]
    /// What would be answered to groups that are not durable and whose flush will fail, by their threads.
    var unflushed: [ObjectIdentifier: [Reply]] = [:]
    /// The failures that the moods have brought about.
    package var failures: Set<String> = []
    /// Every mood that a group met.
    package var moods: Set<Mood> = []
  }

  package let seeds = chainSeeds
  package let concurrentGroups: Int
  package let content: Mutex<Content>
  /// What stores the groups, if it is not the ``MemoryLedger``.
  package let base: (any LedgerStore)?
  private let transaction = Mutex(())
  private let gate = DispatchSemaphore(value: 0)
  private let hung = DispatchSemaphore(value: 0)

  package init(ledger: MemoryLedger, base: (any LedgerStore)? = nil, concurrentGroups: Int = 1) {
    self.concurrentGroups = concurrentGroups
    self.base = base
    content = Mutex(Content(ledger: ledger))
  }

  /// Lets one hanging group go on.
  package func release() { gate.signal() }

  /// Waits until a group hangs; once for each.
  package func awaitHang() throws {
    try check(hung.wait(timeout: .now() + 300) == .success, "no group came in five minutes")
  }

  package func refuse(_ refusal: @escaping @Sendable (Needs) -> StoreFailure?) {
    content.withLock { $0.refusal = refusal }
  }

  package func setMood(_ mood: @escaping @Sendable (inout SplitMix64) -> Mood) { content.withLock { $0.mood = mood } }

  package var begun: Int { content.withLock { $0.begun } }
  package var committed: Int { content.withLock { $0.committed } }
  package var ledger: MemoryLedger { content.withLock { $0.ledger } }

  package func apply(
    _ needs: Needs, overlapping: Bool, deciding decide: (Snapshot) -> Decision
  ) throws(StoreFailure) -> Decision {
    let (mood, pause) = content.withLock { content in
      content.begun += 1
      let mood = content.nextMood.take() ?? content.mood(&content.random)
      content.moods.insert(mood)
      return (mood, content.random.int(100...3000))
    }
    do throws(StoreFailure) {
      return try apply(needs, in: mood, pause: UInt32(pause), deciding: decide)
    } catch {
      if mood.isFault { content.withLock { _ = $0.failures.insert(error.description) } }
      throw error
    }
  }

  /// Makes durable what was applied, unless the thread's last group was to fail here.
  package func flush(_ applied: Decision) throws(StoreFailure) {
    try base?.flush(applied)
    let failure: StoreFailure? = content.withLock { content in
      guard let replies = content.unflushed.removeValue(forKey: ObjectIdentifier(Thread.current)) else { return nil }
      let failure = StoreFailure("the disk did not answer flush \(content.lost.count)", mayBeStored: true)
      content.lost[failure.description] = replies
      content.failures.insert(failure.description)
      return failure
    }
    if let failure { throw failure }
  }

  private func apply(
    _ needs: Needs, in mood: Mood, pause: UInt32, deciding decide: (Snapshot) -> Decision
  ) throws(StoreFailure) -> Decision {
    if let refusal = content.withLock({ $0.refusal })(needs) { throw refusal }
    switch mood {
    case .hanging: hang()
    case .failing: throw StoreFailure("the disk is full")
    case .failingWholly: throw StoreFailure("the file is gone", kind: .permanent)
    default: break
    }
    // One transaction at a time, and nothing of it to be seen before its end.
    let (decision, number) = try transaction.withLock { _ throws(StoreFailure) in
      let decision = try store(needs) { snapshot in
        let snapshot = noted(snapshot, needs)
        if mood == .startingOver { _ = decide(snapshot) }
        var decision = decide(snapshot)
        if mood == .slow { usleep(pause) }
        if mood == .failingInside { decision.changes.usedCommitments.append(Self.nobodys) }
        return decision
      }
      let number = content.withLock { content in
        content.groups.append((decision.replies.count, needs.outcomes))
        content.committed += 1
        return content.committed
      }
      return (decision, number)
    }
    if mood == .hangingAfterCommit { hang() }
    if mood == .failingToFlush {
      content.withLock { $0.unflushed[ObjectIdentifier(Thread.current)] = decision.replies }
    }
    guard mood == .failingAfterCommit else { return decision }
    let failure = StoreFailure("the connection was lost after group \(number)", mayBeStored: true)
    content.withLock { $0.lost[failure.description] = decision.replies }
    throw failure
  }

  /// What `needs` names, as it is stored.
  package func look(_ needs: Needs) throws(StoreFailure) -> Snapshot {
    var seen: Snapshot?
    _ = try store(needs) { snapshot in
      seen = snapshot
      return Decision(replies: [], changes: Changes())
    }
    guard let seen else { throw StoreFailure("the store asked for no decision") }
    return seen
  }

  private func hang() {
    hung.signal()
    gate.wait()
  }

  private func store(_ needs: Needs, deciding decide: (Snapshot) -> Decision) throws(StoreFailure) -> Decision {
    if let base { return try base.apply(needs, overlapping: true, deciding: decide) }
    let snapshot = content.withLock { content in
      content.ledger.snapshot(needs, now: content.now ?? Milliseconds(Date().timeIntervalSince1970 * 1000))
    }
    let decision = decide(snapshot)
    if decision.changes.usedCommitments.contains(where: { $0.id == Self.nobodys.id }) {
      throw StoreFailure("there is no such commitment")
    }
    content.withLock { $0.ledger.apply(decision.changes) }
    return decision
  }

  private func noted(_ snapshot: Snapshot, _ needs: Needs) -> Snapshot {
    var snapshot = snapshot
    content.withLock { content in
      content.decided = snapshot.now
      guard !content.damage.isEmpty else { return }
      for need in needs.all {
        guard let failure = content.damage[need] else { continue }
        snapshot.failures[need] = failure
        switch need {
        case .account(let id): snapshot.accounts[id] = nil
        case .chain(let key): snapshot.chains[key] = nil
        case .record(let scope): snapshot.records[scope] = nil
        case .testDraw(let id): snapshot.testOutcomes[id] = nil
        case .commitment(let id): snapshot.commitments[id] = nil
        }
      }
    }
    return snapshot
  }

  /// A used commitment that no store has.
  private static let nobodys = Commitment(
    id: CommitID(bytes: Array(repeating: 0, count: 16)), chain: 1 << 50, owner: ChainOwner(0),
    active: ActiveSeed(ServerSeed(bytes: Array(repeating: 0, count: 32))), created: 0, expires: 0,
    use: Commitment.Use(outcome: 1, clientSeed: seed("nobody's"), revealed: 0))

  /// Fails in the moods that fail a group.
  package func probe() throws(StoreFailure) {
    let mood = content.withLock { content in
      var random = content.random
      return content.mood(&random)
    }
    guard mood == .well || mood == .slow else { throw StoreFailure("the disk is full") }
  }

  /// Fails in the moods that fail a group; there is nothing to sweep.
  package func sweepExpiredRecords(keeping retention: IdempotencyRetention) throws(StoreFailure) -> Bool {
    try probe()
    return false
  }

  // What a writer does not use.

  package func key(hash: [UInt8]) async throws(StoreFailure) -> APIKeyRecord? { throw unused }
  package func outcomes(
    of caller: Caller, clientSeed: ClientSeed, from start: OutcomeListStart, limit: Int, withReveals: Bool
  ) async throws(StoreFailure) -> OutcomePage { throw unused }
  package func outcomes(
    of caller: Caller, _ side: OutcomeSide, endpoint: Endpoint?, limit: Int
  ) async throws(StoreFailure) -> AccountOutcomePage { throw unused }
  package func outcomes(
    drawnFrom serverHash: ServerHash, clientSeed: ClientSeed, before nonce: Int64, limit: Int
  ) async throws(StoreFailure) -> OutcomePage? { throw unused }
  package func outcomeNumbers(
    of caller: Caller, clientSeed: ClientSeed, newerThan last: (cursor: Int64, nonce: Int64), limit: Int
  ) async throws(StoreFailure) -> [Int64] { throw unused }
  package func outcome(
    of caller: Caller, clientSeed: ClientSeed, cursor: Int64, nonce: Int64
  ) async throws(StoreFailure) -> Outcome? { throw unused }
  package func recordedOutcome(id: Int64) async throws(StoreFailure) -> RecordedOutcome? { throw unused }
  package func recordedOutcome(shortID: [UInt8]) async throws(StoreFailure) -> RecordedOutcome? { throw unused }
  package func isKnown(_ serverHash: ServerHash, clientSeed: ClientSeed) async throws(StoreFailure) -> Bool {
    throw unused
  }
  package func totals() async throws(StoreFailure) -> (accounts: Int, liveOutcomes: Int) { throw unused }
  package func idempotencyRecord(_ scope: IdempotencyScope) async throws(StoreFailure) -> IdempotencyRecord? {
    throw unused
  }
  package func size() async throws(StoreFailure) -> Int64 { 0 }

  package func ping() async throws(StoreFailure) {}

  private var unused: StoreFailure { StoreFailure("the writer has no business here") }
}
