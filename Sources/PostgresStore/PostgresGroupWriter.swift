import Fairness
import Foundation
import Ledger
import SQLStore
import Synchronization

/// Loads, has decided and stores one group after another, on whatever connection it is given.
///
/// A group takes two round trips: one for all it needs to see, under locks, and one for all it changed, commit included.
/// Where the disk or a standby takes much longer than that, the commit does not wait for them: see ``PostgresFlush``.
/// What another session keeps locked is left out and fails those who need it: see ``HeldRows``.
///
/// What keeps groups apart that are worked on at once, by this server or another:
///
/// - The daily log is locked first, by all groups together: see ``PostgresStatement/shareLog``.
/// - The group's accounts are locked next. That makes quotas exact, makes a second request under
///   an idempotency key wait for the first one's commit, and keeps keys from being revoked halfway. Nothing an account
///   owns needs a lock of its own, its chains included.
/// - Where anonymous draws have a quota, the groups that have any take turns: see ``PostgresStatement/lockAnonymous``.
/// - Anonymous callers' chains, which have no account above them, are locked next, and commitments.
/// - The first group with answers of a server sees that their rendering has a number.
/// - New chains are inserted; who comes second finds the row there and starts over.
/// - Usage is counted last; anonymous usage in a slot that writers seldom share.
///
/// Within each kind, rows are taken in the order of their keys, which is the same for every server. So whoever waits holds
/// only what comes before what it waits for, and no two groups can wait for each other.
final class PostgresGroupWriter: Sendable {
  private let vault: Vault
  private let loader: PostgresGroupLoader
  private let held = HeldRows()
  private let numbers = Mutex<[Counter: Range<Int64>]>([:])
  /// The rendering of the last answers, with its number.
  private let rendering = Mutex<(rendering: Rendering, number: Int64)?>(nil)
  private let hours = Mutex(NotedHours())
  private let flushing: PostgresFlush

  /// What numbers are set aside for.
  enum Counter: String { case outcomes, chains }

  /// - Parameter flushing: waits for the disk.
  init(
    vault: Vault, seeds: ChainSeeds, shortIDs: ShortIDs, flushing: PostgresSession,
    clock: (@Sendable () -> Milliseconds)?
  ) {
    self.vault = vault
    self.flushing = PostgresFlush(flushing)
    loader = PostgresGroupLoader(vault: vault, seeds: seeds, shortIDs: shortIDs, clock: clock)
  }

  /// - Parameter overlapping: whether the disk is waited for in ``flush(_:)``, if that can be.
  /// - Throws: ``PostgresFailure``, or a ``StoreFailure`` if the database makes no sense.
  func settle(
    _ needs: Needs, overlapping: Bool, on session: PostgresSession, deciding decide: (Snapshot) -> Decision
  ) throws -> Decision {
    try session.use { connection in
      do {
        let hold = overlapping && !connection.isPooled ? flushing.hold() : nil
        let (snapshot, chains) = try begin(needs, on: connection)
        var decision = decide(snapshot)
        if decision.changes.isEmpty {
          try connection.run([Query(.rollback)])
          // A refusal tells nothing of what is stored that a crash or a fail-over could undo.
          guard decision.replies.contains(where: { $0.status < 300 || $0.status == 409 }) else { return decision }
          if hold == nil { try connection.flush() }
        } else {
          let group = try GroupStorage(decision.changes, over: chains, vault)
          let rendering = try number(of: decision.changes, on: connection)
          let notes = hours.withLock { $0.missing(for: decision.changes, over: snapshot) }
          let queries = try store(group, over: snapshot, rendering: rendering, notes)
          try connection.commit(after: hold == nil ? queries : [Query(.doNotWait)] + queries)
          self.rendering.withLock { $0 = rendering }
          if !notes.isEmpty { hours.withLock { $0.remember(notes) } }
          loader.remember(group)
        }
        if let hold { decision.group = try flushing.add(hold) }
        return decision
      } catch {
        let isLost = (error as? PostgresFailure)?.isConnectionLost == true
        if isLost { forget() }
        if !isLost, (try? connection.run([Query(.rollback)])) == nil { session.discard() }
        throw error
      }
    }
  }

  /// Makes a group durable that was committed without waiting for that.
  func flush(_ applied: Decision) throws(StoreFailure) {
    guard applied.group > 0 else { return }
    do throws(StoreFailure) {
      try flushing.wait(for: applied.group)
    } catch {
      forget()
      throw error
    }
  }

  /// Drops what is remembered of the database, which may have lost what nobody has waited for.
  private func forget() {
    loader.forget()
    numbers.withLock { $0 = [:] }
    rendering.withLock { $0 = nil }
    hours.withLock { $0 = NotedHours() }
  }

  /// After a group has waited for a lock in vain: finds out what is locked, so that the next try leaves it out.
  ///
  /// - Returns: whether something was found.
  func findHeld(among needs: Needs, on session: PostgresSession) throws -> Bool {
    try session.use { try held.find(among: needs, on: $0) }
  }

  /// Loads; a failure says that nothing has been stored.
  private func begin(_ needs: Needs, on connection: Connection) throws -> PostgresGroupLoader.Loaded {
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

  /// The rendering of a group's answers with its number, which is remembered once it is committed; nil if nothing is known
  /// and nothing needed.
  private func number(of changes: Changes, on connection: Connection) throws -> (rendering: Rendering, number: Int64)? {
    let known = rendering.withLock { $0 }
    if changes.records.isEmpty || known?.rendering == changes.rendering { return known }
    let number = try PostgresConnection(connection: connection, clock: nil).number(of: changes.rendering)
    return (changes.rendering, number)
  }

  // MARK: Store

  /// What stores a group that was decided over `snapshot`.
  private func store(
    _ group: GroupStorage, over snapshot: Snapshot, rendering: (rendering: Rendering, number: Int64)?,
    _ notes: [NotedHours.Note]
  ) throws -> [Query] {
    let changes = group.changes
    let now = snapshot.now
    var queries: [Query] = []
    // What takes the database longest comes first: it is at that already while the rest is put together.
    if !changes.outcomes.isEmpty {
      queries.append(try Self.insertOutcomes(of: group, at: now))
      queries.append(Self.insertRun(of: changes.outcomes, at: now))
    }
    if !changes.runs.isEmpty { queries.append(Self.insert(changes.runs, at: now)) }
    if !changes.newChains.isEmpty { queries.append(try Self.insertChains(of: group, at: now)) }
    if !changes.rotatedChains.isEmpty { queries.append(try Self.rotateChains(of: group, at: now)) }
    if !changes.movedChains.isEmpty { queries.append(try Self.moveChains(of: group, at: now)) }
    if !changes.revealedSeeds.isEmpty { queries.append(Self.insert(changes.revealedSeeds)) }
    if !changes.newCommitments.isEmpty { queries.append(try Self.insertCommitments(of: group)) }
    if !changes.usedCommitments.isEmpty { queries.append(Self.use(changes.usedCommitments)) }
    if !changes.deliveries.isEmpty { queries.append(Self.insert(changes.deliveries)) }
    if !changes.accountEvents.isEmpty { queries.append(Self.insert(changes.accountEvents)) }
    if !changes.testOutcomes.isEmpty { queries.append(Self.insert(changes.testOutcomes)) }
    // An expired record that is not swept yet makes room.
    let expired = changes.records.map(\.scope).filter { snapshot.records[$0] != nil }
    if !expired.isEmpty {
      queries.append(
        Query(.deleteRecords) { $0.bind(uuids: expired.map(\.digest)) })
    }
    if let rendering, !changes.records.isEmpty {
      queries.append(Self.insert(changes.records, rendering: rendering.number))
    }
    if !notes.isEmpty { queries.append(Self.insert(notes)) }
    if !changes.usage.isEmpty { queries.append(Self.add(changes.usage)) }
    if !changes.keyUsage.isEmpty { queries.append(Self.add(changes.keyUsage)) }
    if !changes.log.isEmpty {
      queries.append(
        Query(.insertLog) {
          $0.bind(changes.outcomes.first?.created)
          $0.bind(changes.log.entries.bytes)
        })
    }
    return queries
  }

  private static func insertOutcomes(of group: GroupStorage, at now: Milliseconds) throws -> Query {
    let outcomes = group.changes.outcomes
    let owners = try outcomes.map { try group.owner(of: $0.chain) }
    return Query(.insertOutcomes) {
      $0.bind(outcomes.lazy.map(\.id), owners, outcomes.lazy.map(\.chain))
      $0.bind(group.links.lazy.map(\.previous), group.links.lazy.map(\.jump), outcomes.lazy.map(\.cursor))
      $0.bind(outcomes.lazy.map(\.nonce), outcomes.lazy.map { Int64($0.epoch) })
      $0.bind(outcomes.lazy.map { Int16($0.endpoint.rawValue) })
      $0.bind(now)
      $0.bind(outcomes.lazy.map(\.stored), outcomes.lazy.map(\.fields), outcomes.lazy.map(\.items))
    }
  }

  private static func insertChains(of group: GroupStorage, at now: Milliseconds) throws -> Query {
    let chains = group.changes.newChains.sorted { $0.key < $1.key }
    let trails = try chains.map { try group.before($0).trail.bytes }
    return Query(.insertChains) {
      $0.bind(chains.map(\.key.owner.rawValue), chains.map(\.key.clientSeed.bytes), chains.map(\.id))
      $0.bind(chains.map(\.era), chains.map { Int64($0.epoch) }, chains.map(\.active.hash.bytes))
      $0.bind(chains.map(\.cursor), chains.map(\.nonce), chains.map(\.created))
      $0.bind(now)
      $0.bind(trails)
    }
  }

  private static func moveChains(of group: GroupStorage, at now: Milliseconds) throws -> Query {
    let chains = group.changes.movedChains
    let stored = try chains.map { try group.before($0) }
    return Query(.moveChains) {
      $0.bind(chains.lazy.map(\.key.owner.rawValue), chains.lazy.map(\.id), chains.lazy.map(\.cursor))
      $0.bind(chains.lazy.map(\.nonce))
      $0.bind(now)
      $0.bind(stored.lazy.map(\.chain.cursor), stored.lazy.map(\.chain.nonce), stored.lazy.map(\.trail.bytes))
    }
  }

  private static func rotateChains(of group: GroupStorage, at now: Milliseconds) throws -> Query {
    let chains = group.changes.rotatedChains
    let stored = try chains.map { try group.before($0) }
    return Query(.rotateChains) {
      $0.bind(chains.map(\.key.owner.rawValue), chains.map(\.id), chains.map(\.era))
      $0.bind(chains.map { Int64($0.epoch) }, chains.map(\.active.hash.bytes), chains.map(\.cursor))
      $0.bind(chains.map(\.nonce))
      $0.bind(now)
      $0.bind(stored.map(\.chain.cursor), stored.map(\.chain.nonce), stored.map(\.trail.bytes))
    }
  }

  private static func use(_ commitments: [Commitment]) -> Query {
    let used = commitments.compactMap { commitment in commitment.use.map { (commitment, $0) } }
    return Query(.useCommitments) {
      $0.bind(used.map(\.0.owner.rawValue), used.map(\.0.chain), used.map(\.1.outcome))
      $0.bind(used.map(\.1.clientSeed.bytes), used.map(\.1.revealed))
    }
  }

  private static func insertCommitments(of group: GroupStorage) throws -> Query {
    let commitments = group.changes.newCommitments
    let sealed = try commitments.map { try group.seal($0) }
    return Query(.insertCommitments) {
      $0.bind(commitments.map(\.owner.rawValue), commitments.map(\.chain))
      $0.bind(uuids: commitments.map(\.id.bytes))
      $0.bind(sealed, commitments.map(\.active.hash.bytes), commitments.map(\.created))
      $0.bind(commitments.map(\.expires))
    }
  }

  private static func insert(_ seeds: [RevealedSeed]) -> Query {
    return Query(.insertRevealedSeeds) {
      $0.bind(seeds.map(\.owner.rawValue), seeds.map(\.chain), seeds.map(\.era))
      $0.bind(seeds.map { Int64($0.epoch) }, seeds.map(\.seed.ascii), seeds.map(\.hash.bytes))
      $0.bind(seeds.map(\.cursor), seeds.map(\.nonce), seeds.map(\.revealed))
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

  private static func insert(_ runs: [ChainOwner: AccountRun], at now: Milliseconds) -> Query {
    let (owners, runs) = (runs.keys.map(\.rawValue), runs.values)
    return Query(.insertAccountRuns) {
      $0.bind(owners)
      $0.bind(OutcomePlace.number(at: now))
      $0.bind(runs.map(\.first), runs.map(\.last))
    }
  }

  private static func insert(_ deliveries: [NewDelivery]) -> Query {
    Query(.insertDeliveries) {
      $0.bind(deliveries.map(\.endpoint.rawValue), deliveries.map(\.outcome), deliveries.map(\.created))
    }
  }

  private static func insert(_ events: [NewAccountEvent]) -> Query {
    Query(.insertEvents) {
      $0.bind(events.map(\.endpoint.rawValue), events.map(\.type.rawValue), events.map(\.created))
      $0.bind(events.map(\.data))
    }
  }

  private static func insert(_ drawn: [(id: TestDrawID, outcome: Outcome)]) -> Query {
    Query(.insertTestOutcomes) {
      $0.bind(drawn.map(\.id.account.rawValue), drawn.map(\.id.digest), drawn.map(\.outcome.id))
      $0.bind(drawn.map(\.outcome.clientSeed.bytes), drawn.map(\.outcome.serverHash.bytes))
      $0.bind(drawn.map { Int16($0.outcome.endpoint.rawValue) }, drawn.map(\.outcome.stored))
      $0.bind(drawn.map(\.outcome.fields), drawn.map(\.outcome.items), drawn.map(\.outcome.created))
    }
  }

  private static func insert(_ records: [IdempotencyRecord], rendering: Int64) -> Query {
    let answers = records.map { StoredAnswer.bytes(of: $0.reply, rendering: rendering) }
    return Query(.insertRecords) {
      $0.bind(uuids: records.lazy.map(\.scope.digest))
      $0.bind(records.lazy.map(\.created), records.lazy.map { Int16(truncatingIfNeeded: $0.request) })
      $0.bind(records.lazy.map { Int16($0.reply.status) }, records.lazy.map(\.fingerprint), answers)
    }
  }

  private static func insert(_ notes: [NotedHours.Note]) -> Query {
    Query(.noteHours) {
      $0.bind(notes.map(\.account.rawValue), notes.map(\.hour), notes.map(\.day.number))
      $0.bind(notes.map { Int64($0.drawn) })
    }
  }

  private static func add(_ usage: [KeyUsageKey: Int]) -> Query {
    let entries = usage.sorted { $0.key < $1.key }
    return Query(.addKeyUsage) {
      $0.bind(entries.map(\.key.account.rawValue), entries.map(\.key.key.rawValue), entries.map(\.key.day.number))
      $0.bind(entries.map { Int64($0.value) })
    }
  }

  private static func add(_ usage: [UsageKey: Int]) -> Query {
    let entries = usage.sorted {
      ($0.key.account, $0.key.day, $0.key.endpoint.rawValue) < ($1.key.account, $1.key.day, $1.key.endpoint.rawValue)
    }
    let slot = Int16.random(in: 1...16)
    return Query(.addUsage) {
      $0.bind(entries.map(\.key.account.rawValue), entries.map(\.key.day.number))
      $0.bind(entries.map { Int16($0.key.endpoint.rawValue) }, entries.map { $0.key.account == .anonymous ? slot : 0 })
      $0.bind(entries.map { Int64($0.value) })
    }
  }
}
