import Fairness
import Foundation
import Ledger
import Synchronization

/// A ``MemoryLedger`` as a store, with the moods of a database: it is slow, refuses, loses its connection after a
/// commit, or hangs until it is released.
final class FaultyStore: LedgerStore {
  enum Mood: Sendable, CaseIterable {
    case well, slow, failing, failingAfterCommit, hanging
  }

  struct Content: Sendable {
    var ledger: MemoryLedger
    /// Why a group with these needs is refused, if it is.
    var refusal: @Sendable (Needs) -> StoreFailure? = { _ in nil }
    /// The mood of each group; asked once a group.
    var mood: @Sendable (inout SplitMix64) -> Mood = { _ in .well }
    var random = SplitMix64(state: 0)
    var now: Milliseconds?
    /// Groups that were begun.
    var begun = 0
    /// Groups that are durable.
    var committed = 0
    /// The submissions and draws of each group that was committed.
    var groups: [(submissions: Int, draws: Int)] = []
  }

  let seeds = chainSeeds
  let concurrentGroups: Int
  let content: Mutex<Content>
  private let transaction = Mutex(())
  private let gate = DispatchSemaphore(value: 0)

  init(ledger: MemoryLedger, concurrentGroups: Int = 1) {
    self.concurrentGroups = concurrentGroups
    content = Mutex(Content(ledger: ledger))
  }

  /// Lets one hanging group go on.
  func release() { gate.signal() }

  func refuse(_ refusal: @escaping @Sendable (Needs) -> StoreFailure?) { content.withLock { $0.refusal = refusal } }

  func setMood(_ mood: @escaping @Sendable (inout SplitMix64) -> Mood) { content.withLock { $0.mood = mood } }

  var begun: Int { content.withLock { $0.begun } }
  var committed: Int { content.withLock { $0.committed } }
  var ledger: MemoryLedger { content.withLock { $0.ledger } }

  func commit(_ needs: Needs, deciding decide: (Snapshot) -> Decision) throws(StoreFailure) -> Decision {
    let (mood, pause) = content.withLock { content in
      content.begun += 1
      return (content.mood(&content.random), content.random.int(100...3000))
    }
    if let refusal = content.withLock({ $0.refusal })(needs) { throw refusal }
    switch mood {
    case .hanging: gate.wait()
    case .failing: throw StoreFailure("the disk is full")
    case .well, .slow, .failingAfterCommit: break
    }
    // One transaction at a time, and nothing of it to be seen before its end.
    return try transaction.withLock { _ throws(StoreFailure) in
      let snapshot = content.withLock { content in
        content.ledger.snapshot(needs, now: content.now ?? Milliseconds(Date().timeIntervalSince1970 * 1000))
      }
      let decision = decide(snapshot)
      if mood == .slow { usleep(UInt32(pause)) }
      content.withLock { content in
        content.ledger.apply(decision.changes)
        content.groups.append((decision.replies.count, needs.outcomes))
        content.committed += 1
      }
      if mood == .failingAfterCommit { throw StoreFailure("the connection was lost", mayBeStored: true) }
      return decision
    }
  }

  /// Fails in the moods that fail a group.
  func probe() throws(StoreFailure) {
    let mood = content.withLock { content in
      var random = content.random
      return content.mood(&random)
    }
    guard mood == .well || mood == .slow else { throw StoreFailure("the disk is full") }
  }

  /// Fails in the moods that fail a group; there is nothing to sweep.
  func sweepExpiredRecords() throws(StoreFailure) -> Bool {
    try probe()
    return false
  }

  // What a writer does not use.

  func key(hash: [UInt8]) async throws(StoreFailure) -> APIKeyRecord? { throw unused }
  func outcomes(
    of caller: Caller, clientSeed: ClientSeed, from start: OutcomeListStart, limit: Int, withReveals: Bool
  ) async throws(StoreFailure) -> OutcomePage { throw unused }
  func outcomes(
    drawnFrom serverHash: ServerHash, clientSeed: ClientSeed, before nonce: Int64, limit: Int
  ) async throws(StoreFailure) -> OutcomePage? { throw unused }
  func outcomeNumbers(
    of caller: Caller, clientSeed: ClientSeed, newerThan last: (cursor: Int64, nonce: Int64), limit: Int
  ) async throws(StoreFailure) -> [Int64] { throw unused }
  func outcome(
    of caller: Caller, clientSeed: ClientSeed, cursor: Int64, nonce: Int64
  ) async throws(StoreFailure) -> Outcome? { throw unused }
  func recordedOutcome(id: Int64) async throws(StoreFailure) -> RecordedOutcome? { throw unused }
  func isKnown(_ serverHash: ServerHash, clientSeed: ClientSeed) async throws(StoreFailure) -> Bool { throw unused }
  func totals() async throws(StoreFailure) -> (accounts: Int, liveOutcomes: Int) { throw unused }
  func size() async throws(StoreFailure) -> Int64 { 0 }

  func ping() async throws(StoreFailure) {}

  private var unused: StoreFailure { StoreFailure("the writer has no business here") }
}
