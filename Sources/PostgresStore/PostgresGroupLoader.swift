import Fairness
import Ledger
import SQLStore
import Synchronization

/// Reads what a group needs, under locks, in one round trip. Rows are checked as they are read; what is damaged is a
/// failure in the snapshot.
///
/// Chains are held against what is recorded of them. As long as a chain stands where this server left it that is asked for
/// once a second, and of chains that other servers move too, every time.
final class PostgresGroupLoader: Sendable {
  private let vault: Vault
  private let seeds: ChainSeeds
  private let shortIDs: ShortIDs
  /// Replaces the database's clock in tests.
  private let clock: (@Sendable () -> Milliseconds)?
  private let known = Mutex(BoundedCache<ChainKey, KnownChain>(capacity: 20_000))
  private let time = Mutex(RecordedTime())

  /// What a group sees, and its chains as they are stored, by their ids.
  typealias Loaded = (snapshot: Snapshot, chains: [Int64: StoredChain])

  init(vault: Vault, seeds: ChainSeeds, shortIDs: ShortIDs, clock: (@Sendable () -> Milliseconds)?) {
    self.vault = vault
    self.seeds = seeds
    self.shortIDs = shortIDs
    self.clock = clock
  }

  func load(
    _ needs: Needs, numbered nextOutcome: Int64, _ nextChain: Int64, on connection: Connection
  ) throws -> Loaded {
    let known = known.withLock { cache in
      var known: [ChainKey: KnownChain] = [:]
      for key in needs.chains { known[key] = cache.value(for: key) }
      return known
    }
    let plan = LoadPlan(needs, clock: clock) { known[$0]?.isDoubtful ?? true }
    let results = try connection.run(plan.queries)
    var loaded: Loaded = (Snapshot(now: 0, nextOutcome: nextOutcome, nextChain: nextChain), [:])
    let earliest = try addChains(to: &loaded, plan, results, known, on: connection)
    try plan.commitmentsAt.read(results, plan.commitments, Need.commitment, &loaded.snapshot.failures) { id, row in
      loaded.snapshot.commitments[id] = try Commitment(id, row, vault)
    }
    var records: [StoredRecord] = []
    try plan.recordsAt.read(results, plan.claims, Need.record, &loaded.snapshot.failures) { scope, row in
      records.append(try StoredRecord(scope, row))
    }
    try add(records, to: &loaded.snapshot, on: connection)
    try plan.testOutcomesAt.read(results, plan.testDraws, Need.testDraw, &loaded.snapshot.failures) { id, row in
      loaded.snapshot.testOutcomes[id] = try Outcome(test: row)
    }
    if let accountsAt = plan.accountsAt {
      let rows = results[accountsAt]
      for row in 0..<rows.count {
        loaded.snapshot.accounts[AccountID(rows.integer(row, 0))] = AccountQuota(
          dailyQuota: rows.optionalInteger(row, 1).map { Int($0) }, usedToday: 0)
      }
    }
    if needs.accounts.contains(.anonymous) {
      loaded.snapshot.accounts[.anonymous] = AccountQuota(dailyQuota: nil, usedToday: 0)
    }
    try addFacts(results[plan.factsAt], to: &loaded.snapshot, for: needs, notBefore: earliest)
    return loaded
  }

  /// Renders answers again. Seldom any: those of retries that this server does not remember.
  private func add(_ stored: [StoredRecord], to snapshot: inout Snapshot, on connection: Connection) throws {
    guard !stored.isEmpty else { return }
    let records = try PostgresConnection(connection: connection, clock: clock).records(stored, shortIDs)
    for (scope, record) in zip(stored.lazy.map(\.scope), records) {
      switch record {
      case .success(let record): snapshot.records[scope] = record
      case .failure(let failure): snapshot.failures[.record(scope)] = failure
      }
    }
  }

  /// Drops what is known of chains: the database may have lost what it was read from.
  func forget() { known.withLock { $0.removeAll() } }

  /// Tells where a committed group has left chains.
  func remember(_ group: GroupStorage) {
    known.withLock { known in
      for moved in group.changes.movedChains {
        guard var chain = known.value(for: moved.key), let trail = group.trail(of: moved.id) else { continue }
        (chain.cursor, chain.nonce, chain.trail) = (moved.cursor, moved.nonce, trail)
        known.insert(chain, for: moved.key)
      }
    }
  }

  // MARK: Chains

  /// - Returns: when the latest of them moved: what happens next must not be earlier.
  private func addChains(
    to loaded: inout Loaded, _ plan: LoadPlan, _ results: [QueryResult], _ known: [ChainKey: KnownChain],
    on connection: Connection
  ) throws -> Milliseconds {
    var rows: [(key: ChainKey, row: ChainRow)] = []
    rows.reserveCapacity(plan.shared.count + plan.owned.count)
    var earliest: Milliseconds = 0
    for (place, keys) in [(plan.sharedAt, plan.shared), (plan.ownedAt, plan.owned)] {
      try place.read(results, keys, Need.chain, &loaded.snapshot.failures) { key, row in
        let chain = try ChainRow(row)
        let moved = row.integer(8)
        guard moved.isPlausible else { throw StoreFailure.damaged("chain \(chain.id) moved at no time: \(moved)") }
        earliest = max(earliest, moved)
        rows.append((key, chain))
      }
    }
    var evidence: [ChainKey: Evidence] = [:]
    try plan.evidenceAt.read(results, plan.doubtful, Need.chain, &loaded.snapshot.failures) { key, row in
      evidence[key] = Evidence(row)
    }
    // Others have moved what this server thought it knew.
    let moved = rows.filter { evidence[$0.key] == nil && known[$0.key]?.stands(at: $0.row) != true }.map(\.key)
    if !moved.isEmpty {
      let results = try connection.run([.chains(.selectEvidence, moved)])
      try ResultPlace(0).read(results, moved, Need.chain, &loaded.snapshot.failures) { key, row in
        evidence[key] = Evidence(row)
      }
    }
    loaded.chains.reserveCapacity(rows.count)
    loaded.snapshot.chains.reserveCapacity(rows.count)
    for (key, row) in rows {
      do throws(StoreFailure) {
        let chain = try self.chain(key, row, known[key], evidence[key])
        loaded.snapshot.chains[key] = chain.chain
        loaded.chains[row.id] = chain
      } catch {
        loaded.snapshot.failures[.chain(key)] = error
      }
    }
    return earliest
  }

  private func chain(
    _ key: ChainKey, _ row: ChainRow, _ known: KnownChain?, _ evidence: Evidence?
  ) throws(StoreFailure) -> StoredChain {
    if let known, known.isAhead(of: row) {
      throw .damaged(
        "chain \(row.id) was set back, alone or with the whole database: it stands at epoch \(row.epoch), nonce "
          + "\(row.nonce), and this server left it at epoch \(known.epoch), nonce \(known.nonce)")
    }
    let isUnmoved = known?.stands(at: row) == true
    if evidence != nil || !isUnmoved { try row.check(newest: evidence?.newest, revealed: evidence?.revealed) }
    let chain = try row.chain(key, seeds)
    if evidence != nil || known?.isShared != (known != nil && !isUnmoved) {
      self.known.withLock {
        $0.insert(
          KnownChain(
            epoch: row.epoch, cursor: row.cursor, nonce: row.nonce, trail: row.trail, checked: .now,
            isShared: known != nil && !isUnmoved),
          for: key)
      }
    }
    return chain
  }

  /// Keys, usage, webhooks, and the time: see ``PostgresStatement/selectFacts``.
  private func addFacts(
    _ facts: QueryResult, to snapshot: inout Snapshot, for needs: Needs, notBefore earliest: Milliseconds
  ) throws {
    var used: [(account: AccountID, day: Int64, count: Int)] = []
    var usedByKeys: [(key: KeyID, day: Int64, count: Int)] = []
    for row in 0..<facts.count {
      switch facts.integer(row, 0) {
      case 0: snapshot.now = facts.integer(row, 1)
      case 1:
        let (key, quota) = (KeyID(facts.integer(row, 1)), Int(facts.integer(row, 2)))
        snapshot.keys.insert(key)
        if quota >= 0 { snapshot.keyQuotas[key] = KeyQuota(dailyQuota: quota, usedToday: 0) }
      case 2:
        used.append((AccountID(facts.integer(row, 1)), facts.integer(row, 2), Int(facts.integer(row, 3))))
      case 3:
        let account = AccountID(facts.integer(row, 1))
        if needs.webhookAccounts.contains(account) {
          snapshot.webhooks[account, default: []].append(
            WebhookSubscription(
              WebhookEndpointID(facts.integer(row, 2)), WebhookEvents(rawValue: facts.integer(row, 3))))
        }
      case 4: usedByKeys.append((KeyID(facts.integer(row, 1)), facts.integer(row, 2), Int(facts.integer(row, 3))))
      default: throw StoreFailure("the database gave a fact of an unknown kind")
      }
    }
    for account in snapshot.webhooks.keys { snapshot.webhooks[account]?.sort { $0.endpoint < $1.endpoint } }
    let now = max(snapshot.now, earliest)
    snapshot.now = time.withLock { $0.reach(now) }
    let today = Day(of: snapshot.now).number
    for entry in used where entry.day == today { snapshot.accounts[entry.account]?.usedToday = entry.count }
    for entry in usedByKeys where entry.day == today { snapshot.keyQuotas[entry.key]?.usedToday = entry.count }
  }
}

/// A chain as this server has checked it or left it.
private struct KnownChain {
  let epoch: Int64
  var cursor, nonce: Int64
  var trail: OutcomeTrail
  /// When it was held against what is recorded of it.
  let checked: ContinuousClock.Instant
  /// Whether somebody else has moved it since it was loaded the time before.
  let isShared: Bool

  /// Whether what is recorded of it should be asked for together with the chain.
  var isDoubtful: Bool { isShared || checked + .seconds(1) < .now }

  /// Whether the row was set back: nobody moves a chain backwards.
  func isAhead(of row: ChainRow) -> Bool { (epoch, nonce) > (row.epoch, row.nonce) }

  func stands(at row: ChainRow) -> Bool {
    epoch == row.epoch && cursor == row.cursor && nonce == row.nonce && trail == row.trail
  }
}

/// What is recorded of a chain: a row of ``PostgresStatement/selectEvidence``.
private struct Evidence {
  let newest: ChainRow.Newest?
  let revealed: ChainRow.Revealed?

  init(_ row: QueryResult.Columns) {
    newest = row.isNull(0) ? nil : ChainRow.Newest(row)
    revealed = row.optionalInteger(5).map {
      ChainRow.Revealed(epoch: $0, cursor: row.integer(6), nonce: row.integer(7))
    }
  }
}

/// The queries that load what a group needs, and where their results will be.
private struct LoadPlan {
  let shared, owned: [ChainKey]
  /// Chains that are to be held against what is recorded of them.
  let doubtful: [ChainKey]
  let claims: [IdempotencyScope]
  let testDraws: [TestDrawID]
  let commitments: [CommitID]
  private(set) var queries = [Query(.begin), Query(.shareLog)]
  private(set) var accountsAt: Int?
  private(set) var sharedAt, ownedAt, evidenceAt, commitmentsAt, recordsAt, testOutcomesAt: ResultPlace
  let factsAt: Int

  init(_ needs: Needs, clock: (@Sendable () -> Milliseconds)?, isDoubtful: (ChainKey) -> Bool) {
    let accounts = needs.accounts.sorted().map(\.rawValue)
    let shared = needs.chains.filter { $0.owner == .anonymous }.sorted()
    let owned = needs.chains.filter { $0.owner != .anonymous }
    let doubtful = needs.chains.filter(isDoubtful)
    let claims = needs.claims.keys.sorted()
    let testDraws = Array(needs.testDraws)
    let commitments = needs.commitments.sorted()
    self.shared = shared
    self.owned = Array(owned)
    self.doubtful = Array(doubtful)
    self.claims = claims
    self.testDraws = testDraws
    self.commitments = commitments
    (sharedAt, ownedAt, evidenceAt) = (.none, .none, .none)
    (commitmentsAt, recordsAt, testOutcomesAt) = (.none, .none, .none)
    func places(_ count: Int) -> ClosedRange<Int64> { 1...Int64(count) }

    if !accounts.isEmpty {
      accountsAt = queries.count
      queries.append(Query(.lockAccounts) { $0.bind(accounts) })
    }
    if needs.accounts.contains(.anonymous) { queries.append(Query(.lockAnonymous)) }
    if !shared.isEmpty {
      sharedAt = ResultPlace(queries.count)
      queries.append(.chains(.lockChains, shared))
    }
    if !commitments.isEmpty {
      commitmentsAt = ResultPlace(queries.count)
      queries.append(.commitments(.lockCommitments, commitments))
    }
    if !owned.isEmpty {
      ownedAt = ResultPlace(queries.count)
      queries.append(.chains(.selectChains, self.owned))
    }
    if !doubtful.isEmpty {
      evidenceAt = ResultPlace(queries.count)
      queries.append(.chains(.selectEvidence, self.doubtful))
    }
    if !claims.isEmpty {
      recordsAt = ResultPlace(queries.count)
      queries.append(
        Query(.selectRecords) {
          $0.bind(uuids: claims.map(\.digest))
          $0.bind(claims.map { needs.claims[$0] ?? [] })
          $0.bind(places(claims.count))
        })
    }
    if !testDraws.isEmpty {
      testOutcomesAt = ResultPlace(queries.count)
      queries.append(
        Query(.selectTestOutcomes) {
          $0.bind(testDraws.map(\.account.rawValue))
          $0.bind(testDraws.map(\.digest))
          $0.bind(places(testDraws.count))
        })
    }
    // The last one, since it tells the time, and the time must be one at which all locks were held.
    factsAt = queries.count
    queries.append(
      Query(.selectFacts) {
        $0.bind(accounts)
        $0.bind(needs.keys.map(\.rawValue))
        $0.bind(clock?())
      })
  }
}

extension Query {
  static func chains(_ statement: PostgresStatement, _ keys: [ChainKey]) -> Query {
    Query(statement) {
      $0.bind(keys.lazy.map(\.owner.rawValue))
      $0.bind(keys.lazy.map(\.clientSeed.bytes))
      $0.bind(1...Int64(keys.count))
    }
  }

  static func commitments(_ statement: PostgresStatement, _ ids: [CommitID]) -> Query {
    Query(statement) {
      $0.bind(uuids: ids.map(\.bytes))
      $0.bind(1...Int64(ids.count))
    }
  }
}

/// Where among the results of a load one kind's are, if it was asked for.
private struct ResultPlace {
  static let none = ResultPlace(nil)
  private let index: Int?

  init(_ index: Int?) { self.index = index }

  /// Hands each row to `body` with what it is about; a row's first column counts what was asked for, from 1. A damaged row
  /// is a failure of what it is about.
  func read<Asked>(
    _ results: [QueryResult], _ asked: [Asked], _ need: (Asked) -> Need, _ failures: inout [Need: StoreFailure],
    _ body: (Asked, QueryResult.Columns) throws -> Void
  ) throws {
    guard let index else { return }
    let rows = results[index]
    for row in 0..<rows.count {
      let place = rows.integer(row, 0)
      guard place > 0, place <= asked.count else {
        throw StoreFailure("the database gave a row that was not asked for")
      }
      let about = asked[Int(place) - 1]
      do {
        try body(about, rows.columns(row, from: 1))
      } catch {
        failures[need(about)] = StoreFailure(error)
      }
    }
  }
}
