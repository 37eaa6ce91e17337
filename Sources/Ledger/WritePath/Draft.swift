import Fairness

/// The ledger as a group has changed it so far: what each submission sees of those before it.
struct Draft {
  var snapshot: Snapshot
  var changes = Changes()
  /// The chains this group has touched.
  private(set) var chains: [SeedChain] = []
  /// Counts what is to be stored besides outcomes, and what goes with them.
  var writes = 0
  var replayed: [IdempotencyRecord] = []
  /// What the continuous log is told.
  private var logged: [GroupLog.Item] = []
  private var chainIndex: [ChainKey: Int] = [:]
  /// What became of each of them.
  private var fates: [Fate] = []
  private let seeds: ChainSeeds
  private let day: Day
  private let isLogged: Bool

  /// In ascending order of what it takes to store a chain: what became of it is the most that did.
  private enum Fate: Int, Comparable {
    case untouched, moved, rotated, new
    static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
  }

  /// - Parameter isLogged: whether it goes into the continuous log.
  init(snapshot: Snapshot, seeds: ChainSeeds, isLogged: Bool) {
    self.isLogged = isLogged
    self.snapshot = snapshot
    self.seeds = seeds
    day = Day(of: snapshot.now)
    chains.reserveCapacity(snapshot.chains.count)
    fates.reserveCapacity(snapshot.chains.count)
    chainIndex.reserveCapacity(snapshot.chains.count)
  }

  /// Throws the refusal of whoever needs what could not be loaded.
  func check(_ need: @autoclosure () -> Need) throws(Refusal) {
    guard !snapshot.failures.isEmpty, let failure = snapshot.failures[need()] else { return }
    throw Refusal(failure)
  }

  /// Where the chain stands in `chains`, if it exists. One of an earlier ``Era`` is rotated first.
  ///
  /// - Parameter isRotation: whether it is about to be rotated anyway.
  mutating func existingChain(_ key: ChainKey, isRotation: Bool = false) throws(Refusal) -> Int? {
    if let index = chainIndex[key] { return index }
    guard let chain = snapshot.chains[key] else {
      try check(.chain(key))
      return nil
    }
    let index = append(chain)
    if chain.era < seeds.era, !isRotation { _ = rotate(index) }
    return index
  }

  /// Where the chain stands in `chains`; made if it does not exist.
  mutating func chain(_ key: ChainKey) throws(Refusal) -> Int {
    if let index = try existingChain(key) { return index }
    let chain = SeedChain(
      id: snapshot.nextChain, key: key, era: seeds.era, epoch: 0,
      active: seeds.seed(of: key, era: seeds.era, epoch: 0),
      cursor: Era.firstCursor(of: seeds.era), nonce: 0, created: snapshot.now)
    snapshot.nextChain += 1
    writes += 1
    return append(chain, .new)
  }

  private mutating func append(_ chain: SeedChain, _ fate: Fate = .untouched) -> Int {
    chains.append(chain)
    fates.append(fate)
    chainIndex[chain.key] = chains.count - 1
    return chains.count - 1
  }

  /// Moves a chain on: its nonce by a draw, its cursor because somebody asked for that.
  mutating func move(_ index: Int, nonce: Int64 = 0, cursor: Int64 = 0) {
    chains[index].nonce += nonce
    chains[index].cursor += cursor
    fates[index] = max(fates[index], .moved)
  }

  /// Reveals the server seed of the chain at `index` and gives it the next one.
  mutating func rotate(_ index: Int) -> RevealedSeed {
    let revealed = RevealedSeed(chains[index], at: snapshot.now)
    changes.revealedSeeds.append(revealed)
    let clientSeed = chains[index].key.clientSeed
    log { .reveal(revealed.logDigest(clientSeed)) }
    chains[index].rotate(with: seeds)
    fates[index] = max(fates[index], .rotated)
    writes += 1
    return revealed
  }

  /// Makes a commitment; `seed` says to which seed.
  mutating func commit(
    _ id: CommitID, owner: ChainOwner, lifetime: Milliseconds, to seed: ActiveSeed
  ) -> Commitment {
    let commitment = Commitment(
      id: id, chain: snapshot.nextChain, owner: owner, active: seed, created: snapshot.now,
      expires: snapshot.now + lifetime)
    snapshot.nextChain += 1
    snapshot.commitments[id] = commitment
    changes.newCommitments.append(commitment)
    // What test keys do is not in the log.
    if owner.rawValue >= 0 { log { .commit(commitment.logDigest) } }
    writes += 1
    return commitment
  }

  mutating func use(_ commitment: Commitment, for outcome: Outcome) {
    var used = commitment
    used.use = Commitment.Use(outcome: outcome.id, clientSeed: outcome.clientSeed, revealed: snapshot.now)
    snapshot.commitments[used.id] = used
    changes.usedCommitments.append(used)
  }

  /// Adds the chain that a used commitment has become, its one draw made.
  mutating func add(_ chain: SeedChain) {
    _ = append(chain, .new)
    let revealed = RevealedSeed(chain, at: snapshot.now)
    changes.revealedSeeds.append(revealed)
    log { .reveal(revealed.logDigest(chain.key.clientSeed)) }
  }

  /// Adds to what the continuous log is told.
  mutating func log(_ entry: () -> LogEntry) {
    if isLogged { logged.append(.entry(entry())) }
  }

  /// Adds the outcome that was recorded last.
  mutating func logDraw(_ shortID: [UInt8], from chain: SeedChain) {
    guard isLogged else { return }
    logged.append(
      .draw(changes.outcomes.count - 1, shortID: shortID, clientSeedDigest: chain.clientSeedDigest))
  }

  mutating func takeOutcomeID() -> Int64 {
    defer { snapshot.nextOutcome += 1 }
    return snapshot.nextOutcome
  }

  /// Live outcomes of today.
  func used(by account: AccountID) -> Int { snapshot.accounts[account]?.usedToday ?? 0 }

  /// Records a live outcome, counts it against its account, and makes its webhook events.
  mutating func record(_ outcome: Outcome, for account: AccountID) {
    changes.outcomes.append(outcome)
    for webhook in snapshot.webhooks[account] ?? [] where webhook.events.contains(.outcomeCreated) {
      changes.deliveries.append(NewDelivery(endpoint: webhook.endpoint, outcome: outcome.id, created: outcome.created))
    }
    snapshot.accounts[account]?.usedToday += 1
    changes.usage[UsageKey(account: account, day: day, endpoint: outcome.endpoint), default: 0] += 1
    if account != .anonymous { list(outcome, for: ChainOwner(account, .live)) }
  }

  /// Records a test outcome.
  mutating func record(_ outcome: Outcome, _ id: TestDrawID) {
    snapshot.testOutcomes[id] = outcome
    changes.testOutcomes.append((id, outcome))
    list(outcome, for: ChainOwner(id.account, .test))
  }

  /// Adds an outcome to the list of its account: its row number is the greatest so far.
  private mutating func list(_ outcome: Outcome, for owner: ChainOwner) {
    changes.runs[owner, default: AccountRun(first: outcome.id, last: outcome.id)].last = outcome.id
  }

  /// Counts a live outcome against the quota of the key that it was drawn with, if the key has one.
  mutating func count(_ key: KeyID, of account: AccountID) {
    guard !snapshot.keyQuotas.isEmpty, snapshot.keyQuotas[key] != nil else { return }
    snapshot.keyQuotas[key]?.usedToday += 1
    changes.keyUsage[KeyUsageKey(account: account, key: key, day: day), default: 0] += 1
  }

  /// Makes an event of an account for the endpoints that are told of this type.
  ///
  /// - Parameter data: what it says, as a JSON object.
  mutating func tell(_ type: WebhookEvents, to account: AccountID, _ data: @autoclosure () -> [UInt8]) {
    guard let webhooks = snapshot.webhooks[account], webhooks.contains(where: { $0.events.contains(type) }) else {
      return
    }
    let data = data()
    for webhook in webhooks where webhook.events.contains(type) {
      changes.accountEvents.append(
        NewAccountEvent(endpoint: webhook.endpoint, type: type, data: data, created: snapshot.now))
    }
  }

  mutating func record(_ record: IdempotencyRecord) {
    snapshot.records[record.scope] = record
    changes.records.append(record)
    writes += 1
  }

  /// What is left to store.
  consuming func finish() -> Changes {
    for (chain, fate) in zip(chains, fates) {
      switch fate {
      case .new: changes.newChains.append(chain)
      case .rotated: changes.rotatedChains.append(chain)
      case .moved: changes.movedChains.append(chain)
      case .untouched: break
      }
    }
    changes.log = GroupLog(logged, of: changes.outcomes)
    return changes
  }
}
