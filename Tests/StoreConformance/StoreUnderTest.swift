import Accounts
import Fairness
import Foundation
import Ledger
import Synchronization
import Testing

/// A store with a clock that a test sets, a decider, and, for a start, two accounts and their keys.
package final class StoreUnderTest: Sendable {
  package static let masterKey = try! MasterKey(bytes: Array(1...32))

  package static let seeds = ChainSeeds(key: try! masterKey.seedKey())

  package let decider = Decider(
    masterKey: masterKey, seeds: seeds, publicURL: "https://draw.example", defaultDailyQuota: 1000)
  /// Runs SQL on the database from outside.
  package let sql: @Sendable (String) throws -> Void
  private let open: StoreOpener
  private let clock: TestClock
  private let current: Mutex<(any LedgerStore)?>

  /// Of account `alice`, who has the server's quota.
  package let alice: Caller
  /// Of the same account, whose chains it shares.
  package let aliceToo: Caller
  package let aliceTest: Caller
  /// Of account `bob`, who may draw thrice a day.
  package let bob: Caller

  package init(
    sql: @escaping @Sendable (String) throws -> Void = { _ in }, open: @escaping StoreOpener
  ) async throws {
    let clock = TestClock()
    let store = try await open { clock.now }
    let accounts = try #require(store as? any AccountStore)
    func caller(_ account: String, _ mode: Mode) async throws -> Caller {
      let key = try await accounts.createKey(NewAPIKey(mode: mode), forAccountNamed: account)
      return .key(key.id, key.account, key.mode)
    }
    _ = try await accounts.createAccount(name: "alice", dailyQuota: nil, signIn: nil)
    _ = try await accounts.createAccount(name: "bob", dailyQuota: 3, signIn: nil)
    alice = try await caller("alice", .live)
    aliceToo = try await caller("alice", .live)
    aliceTest = try await caller("alice", .test)
    bob = try await caller("bob", .live)
    self.sql = sql
    self.open = open
    self.clock = clock
    current = Mutex(store)
  }

  package var store: any LedgerStore { current.withLock { $0! } }

  /// The time the store is told; 2026-01-01T12:00:00 UTC at first.
  package var now: Milliseconds {
    get { clock.now }
    set { clock.now = newValue }
  }

  /// Closes the store, as far as letting go of it does, and opens it anew.
  package func reopen() async throws {
    current.withLock { $0 = nil }
    let store = try await open { [clock] in clock.now }
    current.withLock { $0 = store }
  }

  /// A live key of a new account, who has the server's quota.
  package func carol(_ name: String = "carol") async throws -> Caller {
    let account = try await accounts.createAccount(name: name, dailyQuota: nil, signIn: nil).id
    return .key(try await accounts.createKey(NewAPIKey(mode: .live), of: account).id, account, .live)
  }

  // MARK: Submitting

  /// Has a group decided and stored.
  @discardableResult
  package func settle(_ group: Submission...) throws -> Settled { try settle(group) }

  @discardableResult
  package func settle(_ group: [Submission]) throws -> Settled {
    let settled = try apply(group)
    try store.flush(settled.decision)
    return settled
  }

  /// Has a group decided and applied, which is not durable yet.
  @discardableResult
  package func apply(_ group: [Submission]) throws -> Settled {
    var entropy = SystemRandomNumberGenerator()
    var seen: Snapshot?
    let decision = try store.apply(Needs(of: group), overlapping: true) { snapshot in
      seen = snapshot
      return decider.decide(group, snapshot: snapshot, entropy: &entropy)
    }
    return Settled(snapshot: try #require(seen), decision: decision)
  }

  /// What the store shows a group of these, which is then given up.
  package func snapshot(_ group: Submission...) throws -> Snapshot { try snapshot(group) }

  package func snapshot(_ group: [Submission]) throws -> Snapshot {
    var seen: Snapshot?
    _ = try store.commit(Needs(of: group)) { snapshot in
      seen = snapshot
      return Decision(replies: group.map { _ in Reply(status: 200, body: []) }, changes: Changes())
    }
    return try #require(seen)
  }

  /// Every outcome of a chain that a caller can list, newest first.
  package func outcomes(_ caller: Caller, _ clientSeed: String = "test") async throws -> [Outcome] {
    var found: [Outcome] = []
    try await store.forEachOutcome(of: caller, clientSeed: seed(clientSeed)) { found.append($0) }
    return found
  }
}

extension LedgerStore {
  /// The outcomes of one page.
  package func outcomes(
    of caller: Caller, clientSeed: ClientSeed, before: (cursor: Int64, nonce: Int64)?, limit: Int
  ) async throws -> [Outcome] {
    let start: OutcomeListStart = before.map { .before(cursor: $0.cursor, nonce: $0.nonce) } ?? .newest
    return try await outcomes(of: caller, clientSeed: clientSeed, from: start, limit: limit, withReveals: true).outcomes
  }
}

/// What came of a group.
package struct Settled {
  package let snapshot: Snapshot
  package let decision: Decision

  package var replies: [Reply] { decision.replies }
  package var changes: Changes { decision.changes }
  package var reply: Reply { replies[0] }
}

/// A clock that stands still until it is set.
final class TestClock: Sendable {
  private let moment = Mutex<Milliseconds>(newYear + 12 * hour)

  var now: Milliseconds {
    get { moment.withLock { $0 } }
    set { moment.withLock { $0 = newValue } }
  }
}

/// 2026-01-01T00:00:00 UTC.
package let newYear: Milliseconds = 1_767_225_600_000
package let hour: Milliseconds = 3_600_000
package let day: Milliseconds = 24 * hour

package func seed(_ text: String) -> ClientSeed { try! ClientSeed(text) }

package func chain(_ caller: Caller, _ clientSeed: String = "test") -> ChainKey {
  ChainKey(owner: caller.chainOwner, clientSeed: seed(clientSeed))
}

package func draw(_ caller: Caller, _ clientSeed: String = "test", claim: String? = nil)
  -> Submission
{
  Submission(
    caller: caller, claim: claim.map { caller.claim($0) }, operation: .draw(.ints(clientSeed)))
}

package func move(_ caller: Caller, _ clientSeed: String = "test") -> Submission {
  Submission(caller: caller, operation: .incrementCursor(seed(clientSeed)))
}

package func commitment(_ caller: Caller, _ clientSeed: String = "test") -> Submission {
  Submission(caller: caller, operation: .seed(seed(clientSeed)))
}

package func rotate(_ caller: Caller, _ clientSeed: String = "test") -> Submission {
  Submission(caller: caller, operation: .rotate(seed(clientSeed)))
}

package func commit(_ caller: Caller) -> Submission { Submission(caller: caller, operation: .commit) }

package func reveal(_ caller: Caller, _ id: CommitID, _ clientSeed: String = "test") -> Submission {
  Submission(caller: caller, operation: .reveal(id, .ints(clientSeed)))
}

extension DrawRequest {
  static func ints(_ clientSeed: String, count: Int = 1) -> DrawRequest {
    DrawRequest(clientSeed: seed(clientSeed), generator: .ints(count: count, min: 1, max: 100))
  }

  /// A shuffle of items that have so many bytes; with a `mark` of its own, of test mode's a draw of its own.
  static func large(_ clientSeed: String, bytes: Int, mark: Int = 0) -> DrawRequest {
    let filler = String(repeating: "x", count: bytes / 4)
    let items = ItemList(0..<4) { $1 += Array("\"\(mark) \($0) \(filler)\"".utf8) }
    return DrawRequest(clientSeed: seed(clientSeed), generator: .shuffle(items: 4), items: items)
  }

  /// One of each kind, with all that can be in a row.
  static func each(_ clientSeed: String) throws -> [DrawRequest] {
    let seed = seed(clientSeed)
    let items = ItemList(["1.50", #""é\u0000""#, "{\"a\":[null]}"]) { $1 += Array($0.utf8) }
    let long = ItemList(0..<1000) { $1 += Array("\"\($0)\"".utf8) }
    return [
      DrawRequest(clientSeed: seed, generator: .floats(count: 100)),
      DrawRequest(
        clientSeed: seed, generator: .ints(count: 2, min: -(1 << 53) + 1, max: -(1 << 53) + (1 << 32))),
      DrawRequest(clientSeed: seed, generator: .shuffle(items: 3), items: items),
      DrawRequest(clientSeed: seed, generator: .shuffle(items: 1000), items: long),
      DrawRequest(clientSeed: seed, generator: .pick(items: 3, weights: nil), items: items),
      DrawRequest(
        clientSeed: seed, generator: .pick(items: 3, weights: [0.5, 0, 1e300]), items: items),
      DrawRequest(clientSeed: seed, generator: .bytes(count: 1024, encoding: .hex)),
      DrawRequest(clientSeed: seed, generator: .bytes(count: 7, encoding: .base64)),
      DrawRequest(clientSeed: seed, generator: .dice(try DiceNotation("100d1000000-5"))),
      DrawRequest(clientSeed: seed, generator: .gaussian(count: 3, .normal(mean: 1, stddev: 2))),
      DrawRequest(clientSeed: seed, generator: .gaussian(count: 3, .exponential(lambda: 2))),
      DrawRequest(clientSeed: seed, generator: .gaussian(count: 3, .poisson(lambda: 2))),
      DrawRequest(clientSeed: seed, generator: .sample(count: 1000, min: -9, max: 1000)),
    ]
  }
}

extension Caller {
  package var keyID: KeyID { if case .key(let id, _, _) = self { id } else { KeyID(0) } }

  func claim(_ key: String, fingerprint: [UInt8] = [1, 0, 255], request: Int64 = 0) -> IdempotencyClaim {
    IdempotencyClaim(
      scope: IdempotencyScope(account: account, mode: mode, key: Array(key.utf8)),
      fingerprint: fingerprint, request: request)
  }
}

/// A snapshot as it can be compared: all but the time and the numbers set aside, which may skip some.
struct LedgerState: Equatable {
  let keys: Set<KeyID>
  let accounts: [AccountID: AccountQuota]
  let chains: [ChainKey: ChainState]
  let records: [IdempotencyScope: IdempotencyRecord]
  let testOutcomes: [TestDrawID: Outcome]
  let commitments: [CommitID: CommitmentState]

  init(_ snapshot: Snapshot) {
    keys = snapshot.keys
    accounts = snapshot.accounts
    chains = snapshot.chains.mapValues(ChainState.init)
    records = snapshot.records
    testOutcomes = snapshot.testOutcomes
    commitments = snapshot.commitments.mapValues(CommitmentState.init)
  }
}

/// A chain as it can be compared.
struct ChainState: Equatable {
  let id: Int64
  let key: ChainKey
  let epoch: Int
  let seed: [UInt8]
  let hash: ServerHash
  let cursor: Int64
  let nonce: Int64
  let created: Milliseconds

  init(_ chain: SeedChain) {
    id = chain.id
    key = chain.key
    epoch = chain.epoch
    seed = chain.active.seed.ascii
    hash = chain.active.hash
    cursor = chain.cursor
    nonce = chain.nonce
    created = chain.created
  }
}
