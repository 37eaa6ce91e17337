import Fairness
import JSON

/// Decides groups of submissions: the one place where an outcome comes to be.
///
/// It reads no clock, draws no randomness of its own and does no I/O: given the same snapshot, group and entropy, it
/// gives the same bytes. What it decides has not happened until a store has made it durable.
public struct Decider: Sendable {
  /// Live outcomes a day for an account that has no quota of its own.
  public let defaultDailyQuota: Int
  /// Outcomes a day for all callers without a key together; 0 lets them change nothing, nil is no limit.
  public let anonymousDailyQuota: Int?
  public let renderer: OutcomeRenderer
  public let testSeeds: TestSeeds
  /// The server seeds of live chains.
  public let seeds: ChainSeeds
  /// How long a commitment may wait to be revealed.
  public let commitmentLifetime: Milliseconds
  /// How long answers under idempotency keys are good for.
  public let retention: IdempotencyRetention
  /// Whether what is decided goes into the continuous log. Only a benchmark leaves it out.
  public let isLogged: Bool

  public init(
    masterKey: MasterKey, seeds: ChainSeeds, publicURL: String, defaultDailyQuota: Int, anonymousDailyQuota: Int? = nil,
    commitmentLifetime: Milliseconds = 600_000, retention: IdempotencyRetention = .week, isLogged: Bool = true
  ) {
    self.isLogged = isLogged
    self.defaultDailyQuota = defaultDailyQuota
    self.anonymousDailyQuota = anonymousDailyQuota
    self.commitmentLifetime = commitmentLifetime
    self.retention = retention
    renderer = OutcomeRenderer(shortIDs: ShortIDs(masterKey: masterKey), publicURL: publicURL)
    testSeeds = TestSeeds(masterKey: masterKey)
    self.seeds = seeds
  }

  /// Decides `group` in its order, each submission seeing what those before it did.
  ///
  /// - Parameters:
  ///   - snapshot: all that the group's ``Needs`` name, as it is now.
  ///   - entropy: where the numbers and server seeds of commitments come from; the system's generator outside tests.
  public func decide(
    _ group: [Submission], snapshot: Snapshot, entropy: inout some RandomNumberGenerator
  ) -> Decision {
    var draft = Draft(snapshot: snapshot, seeds: seeds, isLogged: isLogged)
    let replies = group.map { submission in
      do throws(Refusal) {
        return try settle(submission, in: &draft, entropy: &entropy)
      } catch {
        return Reply(error)
      }
    }
    var changes = draft.finish()
    changes.rendering = renderer.rendering
    return Decision(replies: replies, changes: changes, replayed: draft.replayed)
  }

  /// - Throws: the refusal of a submission that needs what could not be loaded.
  private func settle(
    _ submission: Submission, in draft: inout Draft, entropy: inout some RandomNumberGenerator
  ) throws(Refusal) -> Reply {
    try draft.check(.account(submission.caller.account))
    guard isAdmitted(submission.caller, in: draft.snapshot) else { return Reply(.invalidAPIKey) }
    if let refusal = refusal(for: submission.caller) { return Reply(refusal) }
    let before = (writes: draft.writes, outcomes: draft.changes.outcomes.count)
    var reply = try reply(to: submission, in: &draft, entropy: &entropy)
    reply.quotaLeft = quotaLeft(after: reply, to: submission.caller, in: draft)
    reply.wroteWithoutCost = draft.writes > before.writes && draft.changes.outcomes.count == before.outcomes
    return reply
  }

  private func isAdmitted(_ caller: Caller, in snapshot: Snapshot) -> Bool {
    switch caller {
    case .anonymous: true
    case .key(let key, _, _): snapshot.keys.contains(key)
    case .holder(let account, _): snapshot.accounts[account] != nil
    }
  }

  /// Why a caller may change nothing at all; nil if there is no such reason.
  public func refusal(for caller: Caller) -> Refusal? {
    caller == .anonymous && anonymousDailyQuota == 0 ? .anonymousOff : nil
  }

  private func reply(
    to submission: Submission, in draft: inout Draft, entropy: inout some RandomNumberGenerator
  ) throws(Refusal) -> Reply {
    guard let claim = submission.claim else {
      return try run(submission.operation, by: submission.caller, in: &draft, entropy: &entropy)
    }
    try draft.check(.record(claim.scope))
    if let record = draft.snapshot.records[claim.scope], !retention.isOver(record.created, at: draft.snapshot.now) {
      guard record.fingerprint == claim.fingerprint else { return Reply(.idempotencyConflict) }
      draft.replayed.append(record)
      return record.reply.replayed
    }
    let reply = try run(submission.operation, by: submission.caller, in: &draft, entropy: &entropy)
    if reply.isFinal {
      draft.record(IdempotencyRecord(claim, reply: reply, created: draft.snapshot.now))
    }
    return reply
  }

  private func run(
    _ operation: Operation, by caller: Caller, in draft: inout Draft, entropy: inout some RandomNumberGenerator
  ) throws(Refusal) -> Reply {
    switch operation {
    case .draw(let request):
      return reply(try draw(request, by: caller, in: &draft))
    case .batch(let entries, let isAtomic):
      return isAtomic ? try atomicBatch(entries, by: caller, in: &draft) : reply(batch(entries, by: caller, in: &draft))
    case .seed(let clientSeed):
      if caller.mode == .test {
        let active = testSeeds.seed(account: caller.account, clientSeed: clientSeed)
        return Reply(.chain, body: chainBody(clientSeed, active.hash, cursor: 0, nonce: 0))
      }
      let key = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
      let index = try draft.chain(key)
      let chain = draft.chains[index]
      return Reply(.chain, body: chainBody(clientSeed, chain.active.hash, cursor: chain.cursor, nonce: chain.nonce))
    case .incrementCursor(let clientSeed):
      guard caller.mode == .live else { return Reply(.testModeForbidden) }
      guard let index = try draft.existingChain(ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)) else {
        return Reply(.invalid("clientSeed", "has no seed chain yet: draw from it, or ask for its seed, first"))
      }
      draft.move(index, cursor: 1)
      draft.writes += 1
      let chain = draft.chains[index]
      return Reply(
        .chain,
        body: chainBody(
          clientSeed, chain.active.hash, cursor: chain.cursor, nonce: chain.nonce, created: draft.snapshot.now))
    case .rotate(let clientSeed):
      return try rotate(clientSeed, by: caller, in: &draft)
    case .commit:
      return commit(by: caller, in: &draft, entropy: &entropy)
    case .reveal(let id, let request):
      return try reveal(id, request, by: caller, in: &draft)
    case .refuse(let refusal):
      return Reply(refusal)
    }
  }

  /// An outcome, and the short id that its number gives.
  private typealias Named = (outcome: Outcome, shortID: [UInt8])

  private func named(_ outcome: Outcome) -> Named { (outcome, renderer.shortIDs.encode(outcome.id)) }

  private func reply(_ drawn: Named) -> Reply {
    Reply(
      .outcome(cursor: drawn.outcome.cursor, nonce: drawn.outcome.nonce),
      drawn: DrawnBody(of: drawn.outcome, drawn.shortID, renderer), shortID: drawn.shortID)
  }

  private func reply(_ entries: [DrawnBody.Entry]) -> Reply {
    let fault = entries.lazy.compactMap(\.refusal?.fault).first
    return Reply(.batch, drawn: DrawnBody(ofBatch: entries, renderer), fault: fault)
  }

  /// Draws all entries or none.
  ///
  /// - Throws: the fault that an entry met. Nothing was drawn, so a retry may run the whole batch.
  private func atomicBatch(
    _ entries: [BatchEntry], by caller: Caller, in draft: inout Draft
  ) throws(Refusal) -> Reply {
    let before = draft
    let drawn = batch(entries, by: caller, in: &draft)
    let refusals = drawn.compactMap(\.refusal)
    guard !refusals.isEmpty else { return reply(drawn) }
    draft = before
    if let fault = refusals.first(where: { $0.fault != nil }) { throw fault }
    return reply(drawn.map { .failed($0.refusal ?? .aborted, id: $0.id) })
  }

  /// Draws what can be drawn.
  private func batch(_ entries: [BatchEntry], by caller: Caller, in draft: inout Draft) -> [DrawnBody.Entry] {
    precondition((1...maximumBatchSize).contains(entries.count))
    return entries.map { entry in
      switch entry {
      case .draw(let request, let id):
        do throws(Refusal) {
          let drawn = try draw(request, by: caller, in: &draft)
          return .drawn(drawn.outcome, shortID: drawn.shortID, id: id)
        } catch {
          return .failed(error, id: id)
        }
      case .refused(let refusal, let id):
        // Once the quota is spent, nothing after it is looked at, bad draws included.
        return .failed(quotaRefusal(for: caller, in: draft) ?? refusal, id: id)
      }
    }
  }

  private func draw(
    _ request: DrawRequest, by caller: Caller, in draft: inout Draft
  ) throws(Refusal) -> Named {
    if caller.mode == .test { return named(try testDraw(request, account: caller.account, in: &draft)) }
    if let refusal = quotaRefusal(for: caller, in: draft) { throw refusal }

    let index = try draft.chain(ChainKey(owner: caller.chainOwner, clientSeed: request.clientSeed))
    let drawn = draw(request, from: draft.chains[index], by: caller, in: &draft)
    draft.move(index, nonce: 1)
    return drawn
  }

  /// Draws from `chain` at the coordinates it stands at, and records and logs what it gives.
  private func draw(
    _ request: DrawRequest, from chain: SeedChain, by caller: Caller, in draft: inout Draft
  ) -> Named {
    let result = request.run(key: chain.active.streamKey, cursor: chain.cursor, nonce: chain.nonce)
    let drawn = named(
      Outcome(
        id: draft.takeOutcomeID(), chain: chain.id, mode: .live, clientSeed: request.clientSeed,
        serverHash: chain.active.hash, epoch: chain.epoch, cursor: chain.cursor, nonce: chain.nonce,
        endpoint: request.generator.endpoint, value: result.value, stored: result.stored, fields: result.fields,
        items: request.items?.text, created: draft.snapshot.now))
    record(drawn.outcome, for: caller, in: &draft)
    draft.logDraw(drawn.shortID, from: chain)
    return drawn
  }

  /// The first such draw is recorded, so that its short id can be looked up and its time stays; every later one is it again.
  private func testDraw(
    _ request: DrawRequest, account: AccountID, in draft: inout Draft
  ) throws(Refusal) -> Outcome {
    let id = TestDrawID(account: account, draw: request)
    try draft.check(.testDraw(id))
    if let recorded = draft.snapshot.testOutcomes[id] { return recorded }
    let active = testSeeds.seed(account: account, clientSeed: request.clientSeed)
    return testOutcome(of: request, id, from: active, in: &draft)
  }

  private func testOutcome(
    of request: DrawRequest, _ id: TestDrawID, from active: ActiveSeed, in draft: inout Draft
  ) -> Outcome {
    let result = request.run(key: active.streamKey, cursor: 0, nonce: 0)
    let outcome = Outcome(
      id: draft.takeOutcomeID(), chain: 0, mode: .test, clientSeed: request.clientSeed, serverHash: active.hash,
      epoch: 0, cursor: 0, nonce: 0, endpoint: request.generator.endpoint, value: result.value, stored: result.stored,
      fields: result.fields, items: request.items?.text, created: draft.snapshot.now)
    draft.record(outcome, id)
    return outcome
  }

  // MARK: Revealing

  private func rotate(
    _ clientSeed: ClientSeed, by caller: Caller, in draft: inout Draft
  ) throws(Refusal) -> Reply {
    guard caller.mode == .live else { return Reply(.testModeForbidden) }
    let key = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
    // Nonces are not skipped, so a chain has as many outcomes as its nonce says. In time that was lost it may have had more.
    guard let index = try draft.existingChain(key, isRotation: true),
      draft.chains[index].nonce > 0 || draft.chains[index].era < seeds.era
    else { return Reply(.nothingToRotate) }
    let revealed = draft.rotate(index)
    let chain = draft.chains[index]
    var body: [UInt8] = []
    body.append(json: "{\"clientSeed\":")
    body.append(jsonString: clientSeed.bytes)
    body.append(json: ",\"revealed\":{\"serverSeed\":\"")
    body.append(contentsOf: revealed.seed.ascii)
    body.append(json: "\",")
    body.append(position: revealed.hash, cursor: revealed.cursor, nonce: revealed.nonce)
    if let proof = seeds.proof(of: revealed, clientSeed: clientSeed) {
      body.append(json: ",\"seedProof\":")
      body.append(proof)
    }
    body.append(json: "},\"next\":{")
    body.append(position: chain.active.hash, cursor: chain.cursor, nonce: chain.nonce)
    body.append(json: ",\"rotatedAt\":")
    body.append(integer: revealed.revealed)
    body.append(json: "}}")
    draft.tell(.chainRotated, to: caller.account, body)
    return Reply(.rotation(Rotation(revealed, next: chain.active)), body: body)
  }

  /// How many random bytes a commitment takes: its id's, and its server seed's.
  static let randomnessOfCommitment = 16 + 32

  private func commit(
    by caller: Caller, in draft: inout Draft, entropy: inout some RandomNumberGenerator
  ) -> Reply {
    let id = CommitID(using: &entropy)
    let seed =
      switch caller.mode {
      case .live: ActiveSeed(ServerSeed(using: &entropy))
      case .test: testSeeds.seed(account: caller.account, commitment: id)
      }
    let commitment = draft.commit(id, owner: caller.chainOwner, lifetime: commitmentLifetime, to: seed)
    var body: [UInt8] = []
    body.append(json: "{\"commitId\":")
    body.append(jsonString: id.description)
    body.append(json: ",\"serverHash\":\"")
    body.append(hex: commitment.active.hash.bytes)
    body.append(json: "\",\"expiresAt\":")
    body.append(integer: commitment.expires)
    body.append(json: "}")
    return Reply(.commitment, body: body)
  }

  private func reveal(
    _ id: CommitID, _ request: DrawRequest, by caller: Caller, in draft: inout Draft
  ) throws(Refusal) -> Reply {
    try draft.check(.commitment(id))
    guard let commitment = draft.snapshot.commitments[id] else { return Reply(.unknownCommitment) }
    guard commitment.owner == caller.chainOwner else { return Reply(.foreignCommitment) }
    if let use = commitment.use { return usedCommitment(use) }
    guard !commitment.isExpired(at: draft.snapshot.now), commitment.chain > Era.lastNumber(before: seeds.era) else {
      return Reply(.expiredCommitment)
    }
    if let refusal = quotaRefusal(for: caller, in: draft) { return Reply(refusal) }

    let told = RevealedCommitment(id: commitment.id, seed: commitment.active.seed)
    switch caller.mode {
    case .live:
      var chain = commitment.chain(clientSeed: request.clientSeed)
      var drawn = draw(request, from: chain, by: caller, in: &draft)
      chain.nonce += 1
      draft.use(commitment, for: drawn.outcome)
      draft.add(chain)
      drawn.outcome.commitment = told
      return reply(drawn)
    case .test:
      let id = TestDrawID(account: caller.account, commitment: commitment.id)
      var outcome = testOutcome(of: request, id, from: commitment.active, in: &draft)
      draft.use(commitment, for: outcome)
      outcome.commitment = told
      return reply(named(outcome))
    }
  }

  /// The refusal of a commitment that was revealed before; it names the outcome that came of it.
  private func usedCommitment(_ use: Commitment.Use) -> Reply {
    var body = Refusal.usedCommitment.body()
    body.removeLast()
    body.append(json: ",\"shortId\":\"")
    let shortID = renderer.shortIDs.encode(use.outcome)
    body.append(contentsOf: shortID)
    body.append(json: "\",\"permalink\":")
    renderer.append(permalink: shortID, to: &body)
    body.append(json: "}")
    return Reply(.refusal(.usedCommitment), status: Refusal.usedCommitment.status, body: body)
  }

  private func chainBody(
    _ clientSeed: ClientSeed, _ hash: ServerHash, cursor: Int64, nonce: Int64, created: Milliseconds? = nil
  ) -> [UInt8] {
    var body: [UInt8] = []
    body.append(json: "{\"clientSeed\":")
    body.append(jsonString: clientSeed.bytes)
    body.append(json: ",")
    body.append(position: hash, cursor: cursor, nonce: nonce)
    if let created {
      body.append(json: ",\"created\":")
      body.append(integer: created)
    }
    body.append(json: "}")
    return body
  }
}

extension [UInt8] {
  /// Appends the members that say where a chain stands, without braces.
  package mutating func append(position hash: ServerHash, cursor: Int64, nonce: Int64) {
    append(json: "\"serverHash\":\"")
    append(hex: hash.bytes)
    append(json: "\",\"cursor\":")
    append(integer: cursor)
    append(json: ",\"nonce\":")
    append(integer: nonce)
  }
}
