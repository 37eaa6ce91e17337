import Fairness
import Foundation
import Ledger
import Synchronization

/// Loads, has decided and stores one group after another, on whatever connection it is given.
///
/// A group takes two round trips: one for all it needs to see, under locks, and one for all it changed, commit included.
///
/// What keeps groups apart that are worked on at once, by this server or another:
///
/// - The daily log is locked first, by all groups together: see ``Statement/shareLog``.
/// - The group's accounts are locked next. That makes quotas exact, makes a second request under
///   an idempotency key wait for the first one's commit, and keeps keys from being revoked halfway. Nothing an account
///   owns needs a lock of its own, its chains included.
/// - Where anonymous draws have a quota, the groups that have any take turns: see ``Statement/lockAnonymous``.
/// - Anonymous callers' chains, which have no account above them, are locked next, and commitments.
/// - New chains are inserted; who comes second finds the row there and starts over.
/// - Usage is counted last; anonymous usage in a slot that writers seldom share.
///
/// Within each kind, rows are taken in the order of their keys, which is the same for every server. So whoever waits holds
/// only what comes before what it waits for, and no two groups can wait for each other.
final class GroupWriter: Sendable {
  private let vault: Vault
  /// Replaces the database's clock in tests.
  private let clock: (@Sendable () -> Milliseconds)?
  private let numbers = Mutex<[Counter: Range<Int64>]>([:])
  private let seeds = Mutex(BoundedCache<Int64, OpenedSeed>(capacity: 20_000))
  private let latest = Mutex<Milliseconds>(0)

  /// What numbers are set aside for.
  enum Counter: String { case outcomes, chains }

  /// A server seed that has been opened, and what it was opened from.
  private struct OpenedSeed {
    let sealed: [UInt8]
    let epoch: Int
    let active: ActiveSeed
  }

  init(vault: Vault, clock: (@Sendable () -> Milliseconds)?) {
    self.vault = vault
    self.clock = clock
  }

  /// - Throws: ``PostgresFailure``, or what a row that makes no sense is reported with.
  func settle(_ needs: Needs, on session: Session, deciding decide: (Snapshot) -> Decision) throws -> Decision {
    try session.use { connection in
      do {
        let (snapshot, chains) = try begin(needs, on: connection)
        let decision = decide(snapshot)
        if decision.changes.isEmpty {
          // Locks alone are not worth a commit, which would be synced.
          try connection.run([Query(.rollback)])
        } else {
          try connection.commit(after: try store(decision.changes, over: snapshot, chains))
        }
        return decision
      } catch {
        if (error as? PostgresFailure)?.isConnectionLost != true, (try? connection.run([Query(.rollback)])) == nil {
          session.discard()
        }
        throw error
      }
    }
  }

  /// Loads; a failure says that nothing has been stored.
  private func begin(
    _ needs: Needs, on connection: Connection
  ) throws -> (snapshot: Snapshot, chains: [Int64: StoredChain]) {
    do {
      let outcomes = try take(needs.outcomes, of: .outcomes, on: connection)
      let chains = try take(needs.newChains, of: .chains, on: connection)
      return try load(needs, numbered: outcomes, chains, on: connection)
    } catch var failure as PostgresFailure {
      failure.hasStoredNothing = true
      throw failure
    }
  }

  // MARK: Numbers

  /// The first of `count` numbers that nobody else has or will have.
  ///
  /// They are taken from the database in large blocks and given out in order, in a transaction of their own that does not
  /// wait for the disk: the group's own commit comes after it in the log, so numbers are never used that a crash could
  /// bring back.
  private func take(_ count: Int, of counter: Counter, on connection: Connection) throws -> Int64 {
    let count = Int64(count)
    let ready: Int64? = numbers.withLock { numbers in
      guard let block = numbers[counter], Int64(block.count) >= max(count, 1) else { return nil }
      numbers[counter] = (block.lowerBound + count)..<block.upperBound
      return block.lowerBound
    }
    if let ready { return ready }
    let size = max(4_096, count * 2)
    let first = try connection.run([
      Query(.begin),
      Query(.doNotWait),
      Query(.reserve) {
        $0.bind(text: counter.rawValue)
        $0.bind(size)
      },
      Query(.commit),
    ])[2]
    guard first.count == 1 else { throw StoreFailure("the table of counters has no row for \(counter)") }
    let start = first.integer(0, 0)
    // What is left of the old block is let go: numbers in use rise.
    numbers.withLock { numbers in
      let fresh = (start + count)..<(start + size)
      if numbers[counter].map({ $0.lowerBound < fresh.lowerBound }) ?? true { numbers[counter] = fresh }
    }
    return start
  }

  // MARK: Load

  private func load(
    _ needs: Needs, numbered nextOutcome: Int64, _ nextChain: Int64, on connection: Connection
  ) throws -> (snapshot: Snapshot, chains: [Int64: StoredChain]) {
    let accounts = needs.accounts.sorted().map(\.rawValue)
    let owned = Array(needs.chains.filter { $0.owner != .anonymous })
    let shared = needs.chains.filter { $0.owner == .anonymous }.sorted()
    let claims = needs.claims.keys.sorted()
    let testDraws = Array(needs.testDraws)
    let commitments = needs.commitments.sorted()

    var queries = [Query(.begin), Query(.shareLog)]
    func add(_ statement: Statement, _ bind: @escaping (inout Parameters) -> Void) -> Int {
      queries.append(Query(statement, bind))
      return queries.count - 1
    }
    let accountsAt = accounts.isEmpty ? nil : add(.lockAccounts) { $0.bind(accounts) }
    if needs.accounts.contains(.anonymous) { _ = add(.lockAnonymous) { _ in } }
    func places(_ count: Int) -> ClosedRange<Int64> { 1...Int64(count) }
    func addChains(_ statement: Statement, _ keys: [ChainKey]) -> Int? {
      keys.isEmpty
        ? nil
        : add(statement) {
          $0.bind(keys.lazy.map(\.owner.rawValue))
          $0.bind(keys.lazy.map(\.clientSeed.bytes))
          $0.bind(places(keys.count))
        }
    }
    let chainsAt = [(shared, addChains(.lockChains, shared)), (owned, addChains(.selectChains, owned))]
    let commitmentsAt =
      commitments.isEmpty
      ? nil
      : add(.lockCommitments) {
        $0.bind(uuids: commitments.map(\.bytes))
        $0.bind(places(commitments.count))
      }
    let recordsAt =
      claims.isEmpty
      ? nil
      : add(.selectRecords) {
        $0.bind(claims.map(\.account.rawValue))
        $0.bind(uuids: claims.map(\.digest))
        $0.bind(claims.map { needs.claims[$0] ?? [] })
        $0.bind(places(claims.count))
      }
    let testOutcomesAt =
      testDraws.isEmpty
      ? nil
      : add(.selectTestOutcomes) {
        $0.bind(testDraws.map(\.account.rawValue))
        $0.bind(testDraws.map(\.digest))
        $0.bind(places(testDraws.count))
      }
    // The last one, since it tells the time, and the time must be one at which all locks were held.
    let factsAt = add(.selectFacts) {
      $0.bind(accounts)
      $0.bind(needs.keys.map(\.rawValue))
      $0.bind(self.clock?())
    }
    let results = try connection.run(queries)

    var snapshot = Snapshot(now: 0, nextOutcome: nextOutcome, nextChain: nextChain)
    var earliest: Milliseconds = 0
    var chains: [Int64: StoredChain] = [:]
    chains.reserveCapacity(needs.chains.count)
    snapshot.chains.reserveCapacity(needs.chains.count)
    for (keys, position) in chainsAt {
      guard let position else { continue }
      for row in 0..<results[position].count {
        let stored = try chain(row, of: results[position], keys, &earliest)
        snapshot.chains[stored.chain.key] = stored.chain
        chains[stored.chain.id] = stored
      }
    }
    if let commitmentsAt {
      for row in 0..<results[commitmentsAt].count {
        let commitment = try commitment(row, of: results[commitmentsAt], commitments)
        snapshot.commitments[commitment.id] = commitment
      }
    }
    if let recordsAt { try Self.addRecords(results[recordsAt], of: claims, to: &snapshot, on: connection) }
    if let testOutcomesAt {
      for row in 0..<results[testOutcomesAt].count {
        let id = testDraws[try Self.place(row, of: results[testOutcomesAt], in: testDraws.count)]
        snapshot.testOutcomes[id] = try Self.testOutcome(row, of: results[testOutcomesAt])
      }
    }
    if let accountsAt {
      for row in 0..<results[accountsAt].count {
        snapshot.accounts[AccountID(results[accountsAt].integer(row, 0))] = AccountStanding(
          dailyQuota: results[accountsAt].optionalInteger(row, 1).map { Int($0) }, usedToday: 0)
      }
    }
    if needs.accounts.contains(.anonymous) {
      snapshot.accounts[.anonymous] = AccountStanding(dailyQuota: nil, usedToday: 0)
    }
    try addFacts(results[factsAt], to: &snapshot, for: needs, notBefore: earliest)
    return (snapshot, chains)
  }

  /// Keys, usage, webhooks, and the time: see ``Statement/selectFacts``.
  private func addFacts(
    _ facts: QueryResult, to snapshot: inout Snapshot, for needs: Needs, notBefore earliest: Milliseconds
  ) throws {
    var used: [(account: AccountID, day: Int64, count: Int)] = []
    for row in 0..<facts.count {
      switch facts.integer(row, 0) {
      case 0: snapshot.now = facts.integer(row, 1)
      case 1: snapshot.keys.insert(KeyID(facts.integer(row, 1)))
      case 2:
        used.append((AccountID(facts.integer(row, 1)), facts.integer(row, 2), Int(facts.integer(row, 3))))
      case 3:
        let account = AccountID(facts.integer(row, 1))
        if needs.webhookAccounts.contains(account) {
          snapshot.webhooks[account, default: []].append(WebhookEndpointID(facts.integer(row, 2)))
        }
      default: throw StoreFailure("the database gave a fact of an unknown kind")
      }
    }
    for account in snapshot.webhooks.keys { snapshot.webhooks[account]?.sort() }
    // A clock that is set back, or a standby's that is behind, must not put an outcome before its predecessor.
    let now = max(snapshot.now, earliest)
    snapshot.now = latest.withLock { latest in
      latest = max(latest, now)
      return latest
    }
    let today = Day(of: snapshot.now).number
    for entry in used where entry.day == today { snapshot.accounts[entry.account]?.usedToday = entry.count }
  }

  private func chain(
    _ row: Int, of result: QueryResult, _ keys: [ChainKey], _ earliest: inout Milliseconds
  ) throws -> StoredChain {
    let key = keys[try Self.place(row, of: result, in: keys.count)]
    let id = result.integer(row, 1)
    let epoch = Int(result.integer(row, 2))
    let active = try open(result.bytes(row, 3), chain: id, epoch: epoch)
    earliest = max(earliest, result.integer(row, 7))
    guard let trail = OutcomeTrail(result.bytes(row, 8)) else {
      throw StoreFailure("the trail of chain \(id) is damaged")
    }
    let chain = SeedChain(
      id: id, key: key, epoch: epoch, active: active, cursor: result.integer(row, 4), nonce: result.integer(row, 5),
      created: result.integer(row, 6))
    return StoredChain(chain, trail)
  }

  private func open(_ sealed: [UInt8], chain: Int64, epoch: Int) throws -> ActiveSeed {
    if let known = seeds.withLock({ $0.value(for: chain) }), known.epoch == epoch, known.sealed == sealed {
      return known.active
    }
    let opened = try vault.open(sealed, context: Self.sealingContext(chain: chain, epoch: epoch))
    let active = ActiveSeed(try ServerSeed(hex: opened))
    seeds.withLock { $0.insert(OpenedSeed(sealed: sealed, epoch: epoch, active: active), for: chain) }
    return active
  }

  private func commitment(_ row: Int, of result: QueryResult, _ ids: [CommitID]) throws -> Commitment {
    let chain = result.integer(row, 1)
    let opened = try vault.open(result.bytes(row, 3), context: Self.sealingContext(chain: chain, epoch: 0))
    return Commitment(
      id: ids[try Self.place(row, of: result, in: ids.count)], chain: chain, owner: ChainOwner(result.integer(row, 2)),
      active: ActiveSeed(try ServerSeed(hex: opened)), created: result.integer(row, 4), expires: result.integer(row, 5),
      revealed: result.optionalInteger(row, 6))
  }

  /// Adds the records of scopes that were claimed, each with its body if that is needed.
  private static func addRecords(
    _ rows: QueryResult, of claims: [IdempotencyScope], to snapshot: inout Snapshot, on connection: Connection
  ) throws {
    let bodies = (0..<rows.count).map {
      StoredBody(rest: rows.isNull($0, 5) ? [] : rows.bytes($0, 5), parts: rows.optionalBytes($0, 6))
    }
    var values: [Int64: [UInt8]] = [:]
    let outcomes = bodies.flatMap(\.outcomes)
    if !outcomes.isEmpty {
      // Seldom: a retry of a large request that this server does not remember.
      let found = try connection.run([Query(.selectValues) { $0.bind(outcomes) }])[0]
      for row in 0..<found.count {
        values[found.integer(row, 0)] = StoredValue.value(
          of: found.integer(row, 1), found.bytes(row, 2), fields: found.bytes(row, 3),
          items: found.optionalBytes(row, 4))
      }
    }
    for (row, body) in bodies.enumerated() {
      let scope = claims[try place(row, of: rows, in: claims.count)]
      snapshot.records[scope] = IdempotencyRecord(
        scope: scope, fingerprint: rows.bytes(row, 1),
        reply: Reply(
          status: Int(rows.integer(row, 2)), body: try body.body(with: values), shortID: rows.optionalBytes(row, 3)),
        created: rows.integer(row, 4))
    }
  }

  private static func testOutcome(_ row: Int, of result: QueryResult) throws -> Outcome {
    try Outcome(
      id: result.integer(row, 1), chain: 0, epoch: 0, cursor: 0, nonce: 0, endpoint: result.integer(row, 4),
      stored: result.bytes(row, 5), fields: result.bytes(row, 6), items: result.optionalBytes(row, 7),
      created: result.integer(row, 8), clientSeed: result.bytes(row, 2), serverHash: result.bytes(row, 3), mode: .test)
  }

  /// Which of the things asked for a row is about: its first column counts them from 1.
  private static func place(_ row: Int, of result: QueryResult, in count: Int) throws -> Int {
    let place = Int(result.integer(row, 0)) - 1
    guard (0..<count).contains(place) else { throw StoreFailure("the database gave a row that was not asked for") }
    return place
  }

  // MARK: Store

  /// What stores `changes`, which were decided over `snapshot`, whose chains are stored as `chains` says, by their ids.
  private func store(
    _ changes: Changes, over snapshot: Snapshot, _ chains: [Int64: StoredChain]
  ) throws -> [Query] {
    var queries: [Query] = []
    let now = snapshot.now
    var chains = chains
    for chain in changes.newChains { chains[chain.id] = StoredChain(new: chain) }
    let outcomes = changes.outcomes
    let links = try outcomes.map { outcome in
      guard let links = chains[outcome.chain]?.append(outcome) else {
        throw StoreFailure("outcome \(outcome.id) does not follow on what its chain holds")
      }
      return links
    }
    /// Changed chains as they were, with the trails they have now.
    func before(_ changed: [SeedChain]) throws -> [StoredChain] {
      try changed.map { chain in
        guard let known = chains[chain.id], known.leads(to: chain) else {
          throw StoreFailure("chain \(chain.id) has not moved by what was drawn from it")
        }
        return known
      }
    }
    func owner(of chain: Int64) throws -> Int64 {
      guard let stored = chains[chain] else { throw StoreFailure("chain \(chain) has changed and was not asked for") }
      return stored.chain.key.owner.rawValue
    }

    // What takes the database longest comes first: it is at that already while the rest is put together.
    if !outcomes.isEmpty {
      let owners = try outcomes.map { try owner(of: $0.chain) }
      queries.append(Self.insert(outcomes, owners: owners, links, at: now))
      queries.append(Self.insertRun(of: outcomes, at: now))
    }
    if !changes.newChains.isEmpty {
      queries.append(try insert(changes.newChains, before(changes.newChains), at: now))
    }
    if !changes.rotatedChains.isEmpty {
      queries.append(try rotate(changes.rotatedChains, before(changes.rotatedChains), at: now))
    }
    if !changes.movedChains.isEmpty {
      queries.append(Self.move(changes.movedChains, try before(changes.movedChains), at: now))
    }
    let revealed = changes.revealedSeeds
    if !revealed.isEmpty {
      queries.append(Self.insert(revealed, owners: try revealed.map { try owner(of: $0.chain) }))
    }
    if !changes.newCommitments.isEmpty { queries.append(try insert(changes.newCommitments)) }
    let used = changes.usedCommitments
    if !used.isEmpty {
      queries.append(
        Query(.useCommitments) {
          $0.bind(used.map(\.owner.rawValue))
          $0.bind(used.map(\.chain))
          $0.bind(used.map { $0.revealed ?? now })
        })
    }
    if !changes.deliveries.isEmpty { queries.append(Self.insert(changes.deliveries)) }
    if !changes.testOutcomes.isEmpty { queries.append(Self.insert(changes.testOutcomes)) }
    // An expired record that is not swept yet makes room.
    let expired = changes.records.map(\.scope).filter { snapshot.records[$0] != nil }
    if !expired.isEmpty {
      queries.append(
        Query(.deleteRecords) {
          $0.bind(expired.map(\.account.rawValue))
          $0.bind(uuids: expired.map(\.digest))
        })
    }
    if !changes.records.isEmpty { queries.append(Self.insert(changes.records)) }
    if !changes.usage.isEmpty { queries.append(Self.add(changes.usage)) }
    return queries
  }

  private func insert(_ chains: [SeedChain], _ stored: [StoredChain], at now: Milliseconds) throws -> Query {
    let trails = Dictionary(uniqueKeysWithValues: stored.map { ($0.chain.id, $0.trail.bytes) })
    let chains = chains.sorted { $0.key < $1.key }
    let sealed = try chains.map { try seal($0.active.seed, chain: $0.id, epoch: $0.epoch) }
    return Query(.insertChains) {
      $0.bind(chains.map(\.key.owner.rawValue))
      $0.bind(chains.map(\.key.clientSeed.bytes))
      $0.bind(chains.map(\.id))
      $0.bind(chains.map { Int64($0.epoch) })
      $0.bind(sealed)
      $0.bind(chains.map(\.active.hash.bytes))
      $0.bind(chains.map(\.cursor))
      $0.bind(chains.map(\.nonce))
      $0.bind(chains.map(\.created))
      $0.bind(now)
      $0.bind(chains.map { trails[$0.id] ?? [] })
    }
  }

  private static func move(_ chains: [SeedChain], _ stored: [StoredChain], at now: Milliseconds) -> Query {
    Query(.moveChains) {
      $0.bind(chains.lazy.map(\.key.owner.rawValue))
      $0.bind(chains.lazy.map(\.id))
      $0.bind(chains.lazy.map(\.cursor))
      $0.bind(chains.lazy.map(\.nonce))
      $0.bind(now)
      $0.bind(stored.lazy.map(\.chain.cursor))
      $0.bind(stored.lazy.map(\.chain.nonce))
      $0.bind(stored.lazy.map(\.trail.bytes))
    }
  }

  private func rotate(_ chains: [SeedChain], _ stored: [StoredChain], at now: Milliseconds) throws -> Query {
    let sealed = try chains.map { try seal($0.active.seed, chain: $0.id, epoch: $0.epoch) }
    return Query(.rotateChains) {
      $0.bind(chains.map(\.key.owner.rawValue))
      $0.bind(chains.map(\.id))
      $0.bind(chains.map { Int64($0.epoch) })
      $0.bind(sealed)
      $0.bind(chains.map(\.active.hash.bytes))
      $0.bind(chains.map(\.cursor))
      $0.bind(chains.map(\.nonce))
      $0.bind(now)
      $0.bind(stored.map(\.chain.cursor))
      $0.bind(stored.map(\.chain.nonce))
      $0.bind(stored.map(\.trail.bytes))
    }
  }

  private func insert(_ commitments: [Commitment]) throws -> Query {
    let sealed = try commitments.map { try seal($0.active.seed, chain: $0.chain, epoch: 0) }
    return Query(.insertCommitments) {
      $0.bind(commitments.map(\.owner.rawValue))
      $0.bind(commitments.map(\.chain))
      $0.bind(uuids: commitments.map(\.id.bytes))
      $0.bind(sealed)
      $0.bind(commitments.map(\.active.hash.bytes))
      $0.bind(commitments.map(\.created))
      $0.bind(commitments.map(\.expires))
    }
  }

  private static func insert(_ seeds: [RevealedSeed], owners: [Int64]) -> Query {
    Query(.insertRevealedSeeds) {
      $0.bind(owners)
      $0.bind(seeds.map(\.chain))
      $0.bind(seeds.map { Int64($0.epoch) })
      $0.bind(seeds.map(\.seed.ascii))
      $0.bind(seeds.map(\.hash.bytes))
      $0.bind(seeds.map(\.cursor))
      $0.bind(seeds.map(\.nonce))
      $0.bind(seeds.map(\.revealed))
    }
  }

  private static func insert(
    _ outcomes: [Outcome], owners: [Int64], _ links: [OutcomeTrail.Links], at now: Milliseconds
  ) -> Query {
    Query(.insertOutcomes) {
      $0.bind(outcomes.lazy.map(\.id))
      $0.bind(owners)
      $0.bind(outcomes.lazy.map(\.chain))
      $0.bind(links.lazy.map(\.previous))
      $0.bind(links.lazy.map(\.jump))
      $0.bind(outcomes.lazy.map(\.cursor))
      $0.bind(outcomes.lazy.map(\.nonce))
      $0.bind(outcomes.lazy.map { Int64($0.epoch) })
      $0.bind(outcomes.lazy.map { Int16($0.endpoint.rawValue) })
      $0.bind(now)
      $0.bind(outcomes.lazy.map(\.stored))
      $0.bind(outcomes.lazy.map(\.fields))
      $0.bind(outcomes.lazy.map(\.items))
    }
  }

  private static func insertRun(of outcomes: [Outcome], at now: Milliseconds) -> Query {
    let ids = outcomes.lazy.map(\.id)
    return Query(.insertRun) {
      $0.bind(now)
      $0.bind(ids.min())
      $0.bind(ids.max())
    }
  }

  private static func insert(_ deliveries: [NewDelivery]) -> Query {
    Query(.insertDeliveries) {
      $0.bind(deliveries.map(\.endpoint.rawValue))
      $0.bind(deliveries.map(\.outcome))
      $0.bind(deliveries.map(\.created))
    }
  }

  private static func insert(_ drawn: [(id: TestDrawID, outcome: Outcome)]) -> Query {
    Query(.insertTestOutcomes) {
      $0.bind(drawn.map(\.id.account.rawValue))
      $0.bind(drawn.map(\.id.digest))
      $0.bind(drawn.map(\.outcome.id))
      $0.bind(drawn.map(\.outcome.clientSeed.bytes))
      $0.bind(drawn.map(\.outcome.serverHash.bytes))
      $0.bind(drawn.map { Int16($0.outcome.endpoint.rawValue) })
      $0.bind(drawn.map(\.outcome.stored))
      $0.bind(drawn.map(\.outcome.fields))
      $0.bind(drawn.map(\.outcome.items))
      $0.bind(drawn.map(\.outcome.created))
    }
  }

  private static func insert(_ records: [IdempotencyRecord]) -> Query {
    let bodies = records.map { StoredBody($0.reply) }
    return Query(.insertRecords) {
      $0.bind(records.lazy.map(\.scope.account.rawValue))
      $0.bind(uuids: records.lazy.map(\.scope.digest))
      $0.bind(records.lazy.map { Int16($0.scope.mode.rawValue) })
      $0.bind(records.lazy.map(\.scope.key))
      $0.bind(records.lazy.map(\.fingerprint))
      $0.bind(records.lazy.map { Int16($0.reply.status) })
      $0.bind(records.lazy.map(\.reply.shortID))
      $0.bind(bodies.lazy.map(\.rest))
      $0.bind(bodies.lazy.map(\.parts))
      $0.bind(records.lazy.map(\.created))
    }
  }

  private static func add(_ usage: [UsageKey: Int]) -> Query {
    let entries = usage.sorted {
      ($0.key.account, $0.key.day, $0.key.endpoint.rawValue) < ($1.key.account, $1.key.day, $1.key.endpoint.rawValue)
    }
    let slot = Int16.random(in: 1...16)
    return Query(.addUsage) {
      $0.bind(entries.map(\.key.account.rawValue))
      $0.bind(entries.map(\.key.day.number))
      $0.bind(entries.map { Int16($0.key.endpoint.rawValue) })
      $0.bind(entries.map { $0.key.account == .anonymous ? slot : 0 })
      $0.bind(entries.map { Int64($0.value) })
    }
  }

  private func seal(_ seed: ServerSeed, chain: Int64, epoch: Int) throws -> [UInt8] {
    try vault.seal(seed.ascii, context: Self.sealingContext(chain: chain, epoch: epoch))
  }

  /// What a server seed is sealed for: it opens nowhere else.
  private static func sealingContext(chain: Int64, epoch: Int) -> String { "chain:\(chain):\(epoch)" }
}
