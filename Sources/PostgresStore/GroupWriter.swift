import Fairness
import Foundation
import Ledger
import Synchronization

/// Loads, has decided and stores one group after another, on whatever connection it is given.
///
/// A group takes two round trips: one for all it needs to see, under locks, and one for all it changed, commit included.
/// What another session keeps locked is left out and fails those who need it: see ``HeldRows``.
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
  private let loader: GroupLoader
  private let held = HeldRows()
  private let numbers = Mutex<[Counter: Range<Int64>]>([:])

  /// What numbers are set aside for.
  enum Counter: String { case outcomes, chains }

  init(vault: Vault, clock: (@Sendable () -> Milliseconds)?) {
    self.vault = vault
    loader = GroupLoader(vault: vault, clock: clock)
  }

  /// - Throws: ``PostgresFailure``, or a ``StoreFailure`` if the database makes no sense.
  func settle(_ needs: Needs, on session: Session, deciding decide: (Snapshot) -> Decision) throws -> Decision {
    try session.use { connection in
      do {
        let (snapshot, chains) = try begin(needs, on: connection)
        let decision = decide(snapshot)
        if decision.changes.isEmpty {
          // Locks alone are not worth a commit, which would be synced.
          try connection.run([Query(.rollback)])
        } else {
          let (queries, chains) = try store(decision.changes, over: snapshot, chains)
          try connection.commit(after: queries)
          loader.remember(decision.changes, chains)
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

  /// After a group has waited for a lock in vain: finds out what is locked, so that the next try leaves it out.
  ///
  /// - Returns: whether something was found.
  func findHeld(among needs: Needs, on session: Session) throws -> Bool {
    try session.use { try held.find(among: needs, on: $0) }
  }

  /// Loads; a failure says that nothing has been stored.
  private func begin(_ needs: Needs, on connection: Connection) throws -> GroupLoader.Loaded {
    do {
      var needs = needs
      let failures = try held.failures(for: needs, on: connection)
      for need in failures.keys { needs.leaveOut(need) }
      let outcomes = try take(needs.outcomes, of: .outcomes, on: connection)
      let chains = try take(needs.newChains, of: .chains, on: connection)
      var loaded = try loader.load(needs, numbered: outcomes, chains, on: connection)
      loaded.snapshot.failures.merge(failures) { $1 }
      return loaded
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
    guard start > 0 else { throw StoreFailure("the counter of \(counter) is damaged", kind: .permanent) }
    _ = try ShortIDs.first(of: Int(size), after: start - 1)
    // What is left of the old block is let go: numbers in use rise.
    numbers.withLock { numbers in
      let fresh = (start + count)..<(start + size)
      if numbers[counter].map({ $0.lowerBound < fresh.lowerBound }) ?? true { numbers[counter] = fresh }
    }
    return start
  }

  // MARK: Store

  /// What stores `changes`, which were decided over `snapshot`, whose chains are stored as `chains` says, by their ids; and
  /// how they will be.
  private func store(
    _ changes: Changes, over snapshot: Snapshot, _ chains: [Int64: StoredChain]
  ) throws -> (queries: [Query], chains: [Int64: StoredChain]) {
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
    return (queries, chains)
  }

  private func insert(_ chains: [SeedChain], _ stored: [StoredChain], at now: Milliseconds) throws -> Query {
    let trails = Dictionary(uniqueKeysWithValues: stored.map { ($0.chain.id, $0.trail.bytes) })
    let chains = chains.sorted { $0.key < $1.key }
    let sealed = try chains.map { try vault.seal($0.active.seed, chain: $0.id, epoch: $0.epoch) }
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
    let sealed = try chains.map { try vault.seal($0.active.seed, chain: $0.id, epoch: $0.epoch) }
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
    let sealed = try commitments.map { try vault.seal($0.active.seed, chain: $0.chain, epoch: 0) }
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
}
