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
    /// The mood of each group; asked once a group.
    var mood: @Sendable (inout SplitMix64) -> Mood = { _ in .well }
    var random = SplitMix64(state: 0)
    var now: Milliseconds?
    /// Groups that were begun.
    var begun = 0
    /// Groups whose commit is about to return.
    var committed = 0
    /// The records that are durable, by scope.
    var durable: [IdempotencyScope: IdempotencyRecord] = [:]
    /// Of each group begun: its submissions and its draws.
    var groups: [(submissions: Int, draws: Int)] = []
  }

  let concurrentGroups: Int
  let content: Mutex<Content>
  private let gate = DispatchSemaphore(value: 0)

  init(ledger: MemoryLedger, concurrentGroups: Int = 1) {
    self.concurrentGroups = concurrentGroups
    content = Mutex(Content(ledger: ledger))
  }

  /// Lets one hanging group go on.
  func release() { gate.signal() }

  func setMood(_ mood: @escaping @Sendable (inout SplitMix64) -> Mood) { content.withLock { $0.mood = mood } }

  var begun: Int { content.withLock { $0.begun } }
  var committed: Int { content.withLock { $0.committed } }
  var ledger: MemoryLedger { content.withLock { $0.ledger } }

  func commit(_ needs: Needs, deciding decide: (Snapshot) -> Decision) throws(StoreFailure) -> Decision {
    let (mood, pause) = content.withLock { content in
      content.begun += 1
      return (content.mood(&content.random), content.random.int(100...3000))
    }
    switch mood {
    case .hanging: gate.wait()
    case .slow: usleep(UInt32(pause))
    case .failing: throw StoreFailure("the disk is full")
    case .well, .failingAfterCommit: break
    }
    let decision = content.withLock { content in
      let now = content.now ?? Milliseconds(Date().timeIntervalSince1970 * 1000)
      let decision = decide(content.ledger.snapshot(needs, now: now))
      content.ledger.apply(decision.changes)
      content.groups.append((decision.replies.count, needs.outcomes))
      return decision
    }
    if mood == .slow { usleep(UInt32(pause)) }
    content.withLock { content in
      content.committed += 1
      for record in decision.changes.records { content.durable[record.scope] = record }
    }
    if mood == .failingAfterCommit { throw StoreFailure("the connection was lost") }
    return decision
  }

  // What a writer does not use.

  func sweepExpiredRecords() throws(StoreFailure) -> Bool { false }
  func key(hash: [UInt8]) async throws(StoreFailure) -> APIKeyRecord? { throw unused }
  func outcomes(
    of caller: Caller, clientSeed: ClientSeed, before: (cursor: Int64, nonce: Int64)?, limit: Int
  ) async throws(StoreFailure) -> [Outcome] { throw unused }
  func outcome(
    of caller: Caller, clientSeed: ClientSeed, cursor: Int64, nonce: Int64
  ) async throws(StoreFailure) -> Outcome? { throw unused }
  func totals() async throws(StoreFailure) -> (accounts: Int, liveOutcomes: Int) { throw unused }
  func ping() async throws(StoreFailure) {}
  func createAccount(name: String, dailyQuota: Int?) throws -> Account { throw unused }
  func accounts() throws -> [Account] { throw unused }
  func createKey(_ key: NewAPIKey, forAccountNamed name: String) throws -> APIKeyRecord { throw unused }
  func keys() throws -> [(account: String, key: APIKeyRecord)] { throw unused }
  func revokeKey(prefix: String) throws -> APIKeyRecord { throw unused }

  private var unused: StoreFailure { StoreFailure("the writer has no business here") }
}
