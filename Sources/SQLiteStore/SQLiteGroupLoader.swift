import Fairness
import GRDBSQLite
import Ledger
import SQLStore

/// Reads what a group needs, under the write lock. Rows are checked as they are read; what is damaged is a failure in the
/// snapshot. Owned by ``SQLiteGroupWriter``.
final class SQLiteGroupLoader {
  private let vault: Vault
  private let seeds: ChainSeeds
  private let dataVersion, selectLastOutcome, selectLastChain, selectLatest: SQLiteStatement
  private let selectKey, selectKeyUsage, selectAccount, selectUsage, selectChain, selectNewest, selectRevealed,
    selectRecord,
    selectTestOutcome, selectCommitment, selectWebhooks: SQLiteStatement

  /// For what is seldom read.
  private let common: SQLiteConnection
  private let shortIDs: ShortIDs

  init(
    _ connection: OpaquePointer, _ common: SQLiteConnection, vault: Vault, seeds: ChainSeeds, shortIDs: ShortIDs
  ) throws {
    func prepare(_ sql: String) throws -> SQLiteStatement { try SQLiteStatement(connection, sql) }
    self.vault = vault
    self.seeds = seeds
    self.common = common
    self.shortIDs = shortIDs
    dataVersion = try prepare("PRAGMA data_version")
    selectLastOutcome = try prepare(
      """
      SELECT max(coalesce((SELECT max(id) FROM outcomes), 0), coalesce((SELECT max(id) FROM test_outcomes), 0))
      """)
    selectLastChain = try prepare(
      """
      SELECT max(coalesce((SELECT max(id) FROM chains), 0), coalesce((SELECT max(chain_id) FROM commitments), 0))
      """)
    // The last sealed day, and when the last outcome was drawn.
    selectLatest = try prepare(
      """
      SELECT coalesce((SELECT max(day) FROM merkle_days), -1),
        coalesce((SELECT created FROM outcomes ORDER BY id DESC LIMIT 1), 0)
      """)
    selectKey = try prepare("SELECT daily_quota FROM api_keys WHERE id = ? AND revoked IS NULL")
    selectKeyUsage = try prepare("SELECT count FROM key_usage WHERE key_id = ? AND day = ?")
    selectAccount = try prepare("SELECT daily_quota FROM accounts WHERE id = ? AND deleted IS NULL")
    selectUsage = try prepare("SELECT coalesce(sum(count), 0) FROM usage WHERE account_id = ? AND day = ?")
    selectChain = try prepare(
      """
      SELECT id, era, epoch, server_hash, cursor, nonce, created, trail FROM chains
      WHERE owner_id = ? AND client_seed = ?
      """)
    selectNewest = try prepare("SELECT chain_id, epoch, cursor, nonce, created FROM outcomes WHERE id = ?")
    selectRevealed = try prepare(
      "SELECT epoch, cursor, nonce FROM revealed_seeds WHERE chain_id = ? ORDER BY epoch DESC LIMIT 1")
    selectRecord = try prepare(
      """
      SELECT fingerprint, request, status, created, iif(?2 IN (fingerprint, x''), answer, NULL)
      FROM idempotency WHERE digest = ?1
      """)
    selectTestOutcome = try prepare(
      """
      SELECT id, client_seed, server_hash, endpoint, value, fields, items, created FROM test_outcomes
      WHERE account_id = ? AND digest = ?
      """)
    selectCommitment = try prepare(
      """
      SELECT chain_id, owner_id, sealed_seed, created, expires, outcome_id, client_seed, revealed FROM commitments
      WHERE commit_id = ?
      """)
    selectWebhooks = try prepare(
      """
      SELECT id, events FROM webhook_endpoints WHERE account_id = ? AND disabled IS NULL AND deleted IS NULL ORDER BY id
      """)
  }

  /// Changes when another connection has written.
  func version() throws -> Int64 { try dataVersion.first { $0.integer(0) } ?? 0 }

  /// How far the database's time has come.
  func latest() throws -> Milliseconds {
    let found = try selectLatest.first { [Day(number: $0.integer(0)).end, $0.integer(1)] } ?? []
    return found.filter(\.isPlausible).max() ?? 0
  }

  /// Nothing yet, but the last numbers in use.
  func memory(version: Int64, day: Day) throws -> GroupMemory {
    let earlier = Era.lastNumber(before: seeds.era)
    return GroupMemory(
      dataVersion: version, lastOutcome: max(earlier, try selectLastOutcome.first { $0.integer(0) } ?? 0),
      lastChain: max(earlier, try selectLastChain.first { $0.integer(0) } ?? 0), day: day)
  }

  /// - Returns: what the group needs to see, and its chains as they are stored, by their numbers.
  func load(
    _ needs: Needs, at now: Milliseconds, _ memory: inout GroupMemory
  ) throws -> (snapshot: Snapshot, chains: [Int64: StoredChain]) {
    var snapshot = Snapshot(
      now: now, nextOutcome: try ShortIDs.first(of: needs.outcomes, after: memory.lastOutcome),
      nextChain: try ShortIDs.first(of: needs.newChains, after: memory.lastChain))
    /// What is damaged fails those who need it; other failures fail the group.
    func attempt<Value>(_ need: Need, _ body: () throws -> Value?) throws -> Value? {
      do {
        return try body()
      } catch {
        let failure = StoreFailure(error)
        guard failure.kind == .damaged else { throw failure }
        snapshot.failures[need] = failure
        return nil
      }
    }
    for key in needs.keys {
      guard case .usable(let quota) = try self.key(key, &memory) else { continue }
      snapshot.keys.insert(key)
      if let quota { snapshot.keyQuotas[key] = quota }
    }
    for account in needs.accounts {
      snapshot.accounts[account] = try attempt(.account(account)) { try state(account, &memory) }
    }
    var chains: [Int64: StoredChain] = [:]
    chains.reserveCapacity(needs.chains.count)
    snapshot.chains.reserveCapacity(needs.chains.count)
    for key in needs.chains {
      guard let stored = try attempt(.chain(key), { try chain(key, &memory) }) else { continue }
      snapshot.chains[key] = stored.chain
      chains[stored.chain.id] = stored
    }
    for (scope, fingerprint) in needs.claims {
      snapshot.records[scope] = try attempt(.record(scope)) { try record(scope, fingerprint) }
    }
    for id in needs.testDraws { snapshot.testOutcomes[id] = try attempt(.testDraw(id)) { try testOutcome(id) } }
    for id in needs.commitments { snapshot.commitments[id] = try attempt(.commitment(id)) { try commitment(id) } }
    for account in needs.webhookAccounts {
      let endpoints = try webhooks(account, &memory)
      if !endpoints.isEmpty { snapshot.webhooks[account] = endpoints }
    }
    return (snapshot, chains)
  }

  private func key(_ id: KeyID, _ memory: inout GroupMemory) throws -> GroupMemory.Key {
    if let known = memory.keys.value(for: id) { return known }
    var key = GroupMemory.Key.unusable
    if let quota = try selectKey.first({ $0.bind(id.rawValue) }, read: { $0.optionalInteger(0) }) {
      key = .usable(
        try quota.map { quota in
          let used = try selectKeyUsage.first({ $0.bind(id.rawValue, memory.day.number) }, read: { $0.integer(0) })
          return KeyQuota(dailyQuota: Int(quota), usedToday: Int(used ?? 0))
        })
    }
    memory.keys.insert(key, for: id)
    return key
  }

  private func state(_ account: AccountID, _ memory: inout GroupMemory) throws -> AccountQuota? {
    if let known = memory.accounts.value(for: account) { return known }
    let quota: Int?? =
      account == .anonymous
      ? .some(nil)
      : try selectAccount.first({ $0.bind(account.rawValue) }, read: { $0.optionalInteger(0).map { Int($0) } })
    guard let quota else { return nil }
    let used = try selectUsage.first({ $0.bind(account.rawValue, memory.day.number) }, read: { $0.integer(0) })
    let state = AccountQuota(dailyQuota: quota, usedToday: Int(used ?? 0))
    memory.accounts.insert(state, for: account)
    return state
  }

  private func webhooks(_ account: AccountID, _ memory: inout GroupMemory) throws -> [WebhookSubscription] {
    if let known = memory.webhooks.value(for: account) { return known }
    let endpoints = try selectWebhooks.all(
      { $0.bind(account.rawValue) },
      read: { WebhookSubscription(WebhookEndpointID($0.integer(0)), WebhookEvents(rawValue: $0.integer(1))) })
    memory.webhooks.insert(endpoints, for: account)
    return endpoints
  }

  /// The chain, remembered or checked.
  private func chain(_ key: ChainKey, _ memory: inout GroupMemory) throws -> StoredChain? {
    if let known = memory.chains.value(for: key) { return known }
    let row = try selectChain.first({ $0.bind(key.owner.rawValue, key.clientSeed.bytes) }, read: { try ChainRow($0) })
    guard let row else { return nil }
    try row.check(newest: try row.trail.newest.flatMap(newestOutcome), revealed: try lastRevealed(of: row.id))
    let stored = try row.chain(key, seeds)
    memory.chains.insert(stored, for: key)
    return stored
  }

  private func newestOutcome(_ id: Int64) throws -> ChainRow.Newest? {
    try selectNewest.first({ $0.bind(id) }, read: { ChainRow.Newest($0) })
  }

  private func lastRevealed(of chain: Int64) throws -> ChainRow.Revealed? {
    try selectRevealed.first {
      $0.bind(chain)
    } read: {
      ChainRow.Revealed(epoch: $0.integer(0), cursor: $0.integer(1), nonce: $0.integer(2))
    }
  }

  private func commitment(_ id: CommitID) throws -> Commitment? {
    try selectCommitment.first({ $0.bind(id.bytes) }, read: { try Commitment(id, $0, vault) })
  }

  /// - Parameter fingerprint: of the request; see ``Needs/claims``.
  private func record(_ scope: IdempotencyScope, _ fingerprint: [UInt8]) throws -> IdempotencyRecord? {
    let stored = try selectRecord.first({ $0.bind(scope.digest, fingerprint) }, read: { try StoredRecord(scope, $0) })
    return try stored.flatMap { try common.records([$0], shortIDs).first?.get() }
  }

  private func testOutcome(_ id: TestDrawID) throws -> Outcome? {
    try selectTestOutcome.first({ $0.bind(id.account.rawValue, id.digest) }, read: { try Outcome(test: $0) })
  }
}
