import Fairness
import JSON
import Ledger
import Testing

@Suite struct SimulationTests {
  /// Set `FAIRDRAW_TEST_SEED` to what a failed run printed to see it again.
  @Test func randomOperationsAgreeWithTheModel() throws {
    var simulation = Simulation(seed: announcedSeed())
    while simulation.submissions < 120_000 { try simulation.step() }
    simulation.ledger.audit(defaultQuota: decider.defaultDailyQuota)
    try simulation.auditAnswers()
    // The run was not a walk in the park: everything it is about came up.
    #expect(simulation.seen.count == Simulation.Event.allCases.count, "only \(simulation.seen)")
  }
}

/// Clients that draw, repeat themselves and contradict themselves; a server that crashes; a clock that jumps.
///
/// Groups of random size are decided by ``Decider`` on a ledger of dictionaries. What was decided is stored, unless the
/// server crashes before; and each reply and every change must be what the ``Model`` says.
struct Simulation {
  enum Event: CaseIterable {
    case drawn, rehearsed, replayed, conflict, quotaRefused, quotaRefusedInBatch, revoked, expired, midnight, setBack
    case told, crashBeforeStore, crashBeforeReply, sameGroupTwice, noChain, seeded, moved, fullBatch
    case rotated, nothingToRotate, drawnAfterRotation, committed, revealed, revealedInTestMode
    case unknownCommitment, foreignCommitment, usedCommitment, expiredCommitment, quotaRefusedReveal
  }

  private(set) var ledger = MemoryLedger()
  private(set) var submissions = 0
  private(set) var seen: Set<Event> = []

  private var random: SplitMix64
  private var model: Model
  private var now = newYear
  private var callers: [Caller] = [.anonymous]
  private var nextKey: Int64 = 1
  private var nextClaim = 0
  private var nextWebhook: Int64 = 0
  /// Sent lately, and any time.
  private var recent: [Submission] = []
  private var old: [Submission] = []
  /// Whose senders have seen the server crash.
  private var unanswered: [Submission] = []
  /// What callers know to reveal.
  private var commitments: [(id: CommitID, caller: Caller)] = []
  /// The first answers of claims, by the number of the submission that ran.
  private var firstAnswers: [Int: Reply] = [:]
  /// Every claim whose request has run.
  private var ran: Set<IdempotencyClaim> = []
  /// Test outcomes by account and parameters, as they are told apart here.
  private var rehearsals: [[UInt8]: Int64] = [:]
  /// Every short id that was ever in an answer that was no replay.
  private var answeredShortIDs: [[UInt8]: Int] = [:]

  private static let clientSeeds =
    (0..<20).map { seed("client-\($0)") }
    + [seed("é"), seed("e\u{301}"), seed("\"\\\n"), seed(String(repeating: "x", count: 256))]
  private static let quotas: [Int?] = [0, 1, 25, 200, nil, 100_000]
  private static let unknownKey = Caller.live(9999, account: 1)

  init(seed: UInt64) {
    random = SplitMix64(state: seed)
    var quotas: [AccountID: Int] = [:]
    for (index, quota) in Self.quotas.enumerated() {
      let account = Int64(index + 1)
      ledger.addAccount(account, dailyQuota: quota)
      quotas[AccountID(account)] = quota ?? decider.defaultDailyQuota
    }
    model = Model(quota: quotas)
    model.revoked.insert(KeyID(9999))
    for account in 1...Int64(Self.quotas.count) {
      for mode in [Mode.live, .live, .test] { addKey(account, mode) }
    }
  }

  private mutating func addKey(_ account: Int64, _ mode: Mode) {
    ledger.addKey(nextKey, account: account)
    callers.append(.key(KeyID(nextKey), AccountID(account), mode))
    nextKey += 1
  }

  // MARK: What happens

  mutating func step() throws {
    moveClock()
    if random.chance(0.5) { revokeKey() }
    if random.chance(3) { changeWebhooks() }
    let group = nextGroup()
    let snapshot = ledger.snapshot(Needs(of: group), now: now)
    var entropy = SplitMix64(state: random.next())
    var sameEntropy = entropy
    let decision = decider.decide(group, snapshot: snapshot, entropy: &entropy)
    try expectSame(decision, decider.decide(group, snapshot: snapshot, entropy: &sameEntropy))

    if random.chance(4) {
      seen.insert(.crashBeforeStore)
      unanswered += group
      return
    }
    ledger.apply(decision.changes)
    submissions += group.count
    try compare(group, decision)
    if random.chance(4) {
      seen.insert(.crashBeforeReply)
      unanswered += group
    }
  }

  private mutating func moveClock() {
    let before = now
    switch Double.random(in: 0..<100, using: &random) {
    case ..<1: now = (now / day + 1) * day - Int64(random.int(1...20))
    case ..<2: now += Int64(random.int(0...26)) * 3_600_000
    case ..<2.7:
      now -= Int64(random.int(1...10_000_000))
      seen.insert(.setBack)
    default: now += Int64(random.int(0...240_000))
    }
    if Day(of: now) != Day(of: before) { seen.insert(.midnight) }
  }

  private mutating func revokeKey() {
    let index = random.int(1...(callers.count - 1))
    guard case .key(let key, let account, let mode) = callers.remove(at: index) else { return }
    ledger.liveKeys.remove(key)
    model.revoked.insert(key)
    addKey(account.rawValue, mode)
  }

  /// An account gets an endpoint, or loses all it has.
  private mutating func changeWebhooks() {
    let account = AccountID(Int64(random.int(1...Self.quotas.count)))
    nextWebhook += 1
    ledger.webhooks[account] =
      random.chance(30) ? nil : (ledger.webhooks[account] ?? []) + [WebhookEndpointID(nextWebhook)]
  }

  private mutating func nextGroup() -> [Submission] {
    var group: [Submission] = []
    for _ in 0..<(random.chance(30) ? 1 : random.int(1...25)) {
      let submission: Submission
      switch random.int(1...100) {
      case ...12 where !unanswered.isEmpty: submission = unanswered.removeLast()
      case ...22 where !recent.isEmpty: submission = random.pick(recent)
      case ...27 where !old.isEmpty: submission = random.pick(old)
      case ...33 where !recent.isEmpty: submission = contradiction(of: random.pick(recent))
      default:
        submission = newSubmission()
        remember(submission)
      }
      group.append(submission)
      if random.chance(4) {
        seen.insert(.sameGroupTwice)
        group.append(submission)
      }
    }
    return group
  }

  private mutating func remember(_ submission: Submission) {
    if recent.count < 300 { recent.append(submission) } else { recent[random.int(0...299)] = submission }
    if old.count < 3000 {
      old.append(submission)
    } else if random.chance(20) {
      old[random.int(0...2999)] = submission
    }
  }

  private mutating func newSubmission() -> Submission {
    let operation = operation()
    var caller: Caller =
      random.chance(20) ? .anonymous : random.chance(0.3) ? Self.unknownKey : random.pick(callers)
    if case .reveal(let id, _) = operation, random.chance(85), let own = commitments.last(where: { $0.id == id }) {
      caller = own.caller
    }
    var claim: IdempotencyClaim?
    if caller != .anonymous, random.chance(70) {
      nextClaim += 1
      claim = caller.claim("request-\(nextClaim)", fingerprint: random.bytes(32))
    }
    return Submission(caller: caller, claim: claim, operation: operation)
  }

  private mutating func operation() -> Ledger.Operation {
    switch random.int(1...100) {
    case ...55: return .draw(random.drawRequest(Self.clientSeeds))
    case ...68:
      let count = random.chance(2) ? maximumBatchSize : random.int(1...6)
      if count == maximumBatchSize { seen.insert(.fullBatch) }
      return .batch(
        (0..<count).map { _ in
          random.chance(15) ? .refused("items required") : .draw(random.drawRequest(Self.clientSeeds))
        })
    case ...74: return .seed(random.pick(Self.clientSeeds))
    case ...80: return .incrementCursor(random.chance(10) ? seed("nobody's") : random.pick(Self.clientSeeds))
    case ...84: return .rotate(random.chance(10) ? seed("nobody's") : random.pick(Self.clientSeeds))
    case ...89: return .commit
    case ...96:
      let known = commitments.randomElement(using: &random)?.id
      let id = random.chance(3) ? nil : known
      return .reveal(id ?? CommitID(bytes: random.bytes(16)), random.drawRequest(Self.clientSeeds))
    default: return .refuse(.badRequest("count must be a whole number from 1 to 100"))
    }
  }

  /// The same idempotency key for something else, or, from another key of the account, for the same.
  private mutating func contradiction(of submission: Submission) -> Submission {
    guard let claim = submission.claim else { return submission }
    let siblings = callers.filter { $0.account == claim.scope.account && $0.mode == claim.scope.mode }
    if random.chance(30), let sibling = siblings.randomElement(using: &random) {
      return Submission(caller: sibling, claim: claim, operation: submission.operation)
    }
    return Submission(
      caller: submission.caller, claim: IdempotencyClaim(scope: claim.scope, fingerprint: random.bytes(32)),
      operation: operation())
  }

  // MARK: What must be so

  private func expectSame(_ a: Decision, _ b: Decision) throws {
    let same =
      a.replies == b.replies && a.changes.outcomes == b.changes.outcomes && a.changes.records == b.changes.records
      && a.changes.usage == b.changes.usage && a.changes.deliveries == b.changes.deliveries
      && a.changes.testOutcomes.map(\.id) == b.changes.testOutcomes.map(\.id)
      && a.changes.testOutcomes.map(\.outcome) == b.changes.testOutcomes.map(\.outcome)
      && a.changes.newChains.map(Chain.init) == b.changes.newChains.map(Chain.init)
      && a.changes.movedChains.map(Chain.init) == b.changes.movedChains.map(Chain.init)
      && a.changes.rotatedChains.map(Chain.init) == b.changes.rotatedChains.map(Chain.init)
      && a.changes.revealedSeeds == b.changes.revealedSeeds
      && a.changes.newCommitments.map(Promise.init) == b.changes.newCommitments.map(Promise.init)
      && a.changes.usedCommitments.map(Promise.init) == b.changes.usedCommitments.map(Promise.init)
    try check(same, "the same snapshot, group and entropy were decided differently")
  }

  private struct Chain: Equatable {
    let id: Int64
    let key: ChainKey
    let position: [Int64]
    let seed: ServerSeed

    init(_ chain: SeedChain) {
      id = chain.id
      key = chain.key
      position = [Int64(chain.epoch), chain.cursor, chain.nonce, chain.created]
      seed = chain.active.seed
    }
  }

  private struct Promise: Equatable {
    let id: CommitID
    let chain: Int64
    let owner: ChainOwner
    let seed: ServerSeed
    let times: [Milliseconds?]

    init(_ commitment: Commitment) {
      id = commitment.id
      chain = commitment.chain
      owner = commitment.owner
      seed = commitment.active.seed
      times = [commitment.created, commitment.expires, commitment.use?.revealed]
    }
  }

  /// Holds the group, which has been stored, against what the model says of its submissions one by one.
  private mutating func compare(_ group: [Submission], _ decision: Decision) throws {
    try check(decision.replies.count == group.count, "\(group.count) submissions, \(decision.replies.count) replies")
    let runsBefore = model.runs
    var runs = runsBefore
    for (offset, (submission, reply)) in zip(group, decision.replies).enumerated() {
      let number = submissions - group.count + offset
      let answer = model.answer(submission, number: number, now: now)
      do {
        try compare(reply, answer, to: submission.caller)
        if case .single(.refused(429, _, _)) = answer, case .reveal = submission.operation {
          seen.insert(.quotaRefusedReveal)
        }
      } catch {
        throw Divergence(description: "submission \(number), \(submission), was answered \(text(reply.body)): \(error)")
      }
      if case .again = answer { continue }
      firstAnswers[number] = reply
      if let claim = submission.claim, model.runs > runs, !ran.insert(claim).inserted { seen.insert(.expired) }
      runs = model.runs
      for outcome in try outcomes(in: reply) where outcome["mode"]?.string == bytes("live") {
        answeredShortIDs[outcome["shortId"]?.string ?? [], default: 0] += 1
      }
    }
    // And nothing else has changed.
    try check(ledger.outcomes.count == model.drawn, "outcomes that nobody asked for")
    let revealed = model.revealed
    try check(
      ledger.chains.count == model.next.count + revealed[.live, default: 0], "chains that nobody asked for")
    try check(
      ledger.testOutcomes.count == rehearsals.count + revealed[.test, default: 0], "test outcomes that nobody asked for"
    )
    try check(decision.changes.records.count == model.runs - runsBefore, "records that nobody asked for")
    let changes = decision.changes
    let deliveries = ledger.deliveries(for: changes.outcomes)
    try check(changes.deliveries == deliveries, "should make \(deliveries.count) deliveries")
    if !deliveries.isEmpty { seen.insert(.told) }
    for chain in changes.newChains + changes.movedChains + changes.rotatedChains {
      let used = Model.Position(nonce: 1)
      let expected = chain.key.owner.isNobody ? used : model.next[chain.key] ?? Model.Position(epoch: -1)
      try check(
        (chain.epoch, chain.cursor, chain.nonce) == (expected.epoch, expected.cursor, expected.nonce),
        "chain \(chain.id) should stand at \(expected)")
    }
  }

  private mutating func compare(_ reply: Reply, _ answer: Model.Answer, to caller: Caller) throws {
    if case .again(let number) = answer {
      guard let first = firstAnswers[number] else { throw Divergence(description: "there was no first answer") }
      seen.insert(.replayed)
      try check(
        reply == Reply(status: first.status, body: first.body, shortID: first.shortID, isReplay: true),
        "should be \(text(first.body)) again")
      return
    }
    try check(!reply.isReplay, "should not be a replay")
    switch answer {
    case .single(.refused(let status, let code, let error)):
      try check(reply.status == status && reply.shortID == nil, "should be refused with \(status)")
      try compare(try object(reply.body), code: code, error: error)
      let retryAfter = status == 429 ? Day.secondsLeft(at: now) : nil
      try check(reply.retryAfter == retryAfter, "should be told to come back in \(retryAfter ?? 0) s")
      switch code {
      case "idempotency_replay": seen.insert(.conflict)
      case "invalid_api_key": seen.insert(.revoked)
      case "quota_exceeded": seen.insert(.quotaRefused)
      case "unknown_commitment": seen.insert(.unknownCommitment)
      case "commitment_not_yours": seen.insert(.foreignCommitment)
      case "commitment_used": seen.insert(.usedCommitment)
      case "commitment_expired": seen.insert(.expiredCommitment)
      default:
        if error == nil, status == 400 { seen.insert(.noChain) }
        if status == 404 { seen.insert(.nothingToRotate) }
      }
    case .single(let part):
      let outcome = try outcome(part)
      var body: [UInt8] = []
      let shortID = decider.renderer.append(outcome, to: &body)
      try check(reply == Reply(status: 200, body: body, shortID: shortID), "should be \(text(body))")
    case .batch(let parts):
      try check(reply.status == 200 && reply.shortID == nil, "should be 200")
      let results = try object(reply.body)["results"]?.elements() ?? []
      try check(results.count == parts.count, "should have \(parts.count) results")
      for (result, part) in zip(results, parts) {
        if case .refused(_, let code, let error) = part {
          let members = try object(Array(result.raw))
          try check(members["ok"]?.raw.elementsEqual("false".utf8) == true, "should have failed")
          try compare(members, code: code, error: error)
          if code == "quota_exceeded" { seen.insert(.quotaRefusedInBatch) }
        } else {
          var expected = bytes(#"{"ok":true,"outcome":"#)
          try decider.renderer.append(outcome(part), to: &expected)
          expected.append(UInt8(ascii: "}"))
          try check(result.raw.elementsEqual(expected), "should hold \(text(expected))")
        }
      }
    case .chain(let key, let clientSeed, let position, let moved):
      let members = try object(reply.body)
      let chain = key.flatMap { ledger.chains[$0] }
      let hash =
        chain.flatMap { ledger.seed(of: $0, epoch: position.epoch)?.hash }
        ?? decider.testSeeds.seed(account: caller.account, clientSeed: clientSeed).hash
      try check(
        reply.status == 200 && members["clientSeed"]?.string == clientSeed.bytes
          && members["serverHash"]?.string == hash.hex && members["cursor"]?.number == "\(position.cursor)"
          && members["nonce"]?.number == "\(position.nonce)"
          && members["created"]?.number == (moved ? chain.map { "\($0.created)" } : nil),
        "should be the chain at \(position) under \(hash)")
      seen.insert(moved ? .moved : .seeded)
    case .rotated(let key, let position):
      let chain = ledger.chains[key]
      guard let old = chain.flatMap({ ledger.seed(of: $0, epoch: position.epoch) }),
        let new = chain.flatMap({ ledger.seed(of: $0, epoch: position.epoch + 1) })
      else { throw Divergence(description: "there are no two seeds from \(position) on") }
      var clientSeed: [UInt8] = []
      clientSeed.append(jsonString: key.clientSeed.bytes)
      let at = "\"cursor\":\(position.cursor),\"nonce\":\(position.nonce)"
      let scope = key.owner == .anonymous ? SeedScope.anonymous : .account(UInt64(key.owner.rawValue))
      let proven = try masterKey.seedKey().prove(
        SeedInput(scope: scope, era: 0, epoch: UInt64(position.epoch), clientSeed: key.clientSeed))
      try check(proven.serverSeed == old, "should be the only possible seed")
      let proof =
        "{\"suite\":\"vrf-r255\",\"publicKey\":\"\(proven.proof.publicKey)\",\"scope\":\"\(scope)\","
        + "\"era\":0,\"epoch\":\(position.epoch),\"proof\":\"\(text(proven.proof.hex))\"}"
      let expected =
        "{\"clientSeed\":\(text(clientSeed)),"
        + "\"revealed\":{\"serverSeed\":\"\(old.description)\",\"serverHash\":\"\(old.hash)\",\(at),"
        + "\"seedProof\":\(proof)},"
        + "\"next\":{\"serverHash\":\"\(new.hash)\",\(at),\"rotatedAt\":\(now)}}"
      try check(reply == Reply(status: 200, body: bytes(expected)), "should be \(expected)")
      seen.insert(.rotated)
    case .committed:
      let members = try object(reply.body)
      guard let id = members["commitId"]?.string.flatMap({ CommitID(text($0)) }),
        let commitment = ledger.commitments[id]
      else { throw Divergence(description: "no commitment was made") }
      let expected =
        "{\"commitId\":\"\(id)\",\"serverHash\":\"\(commitment.active.hash)\",\"expiresAt\":\(now + 600_000)}"
      try check(reply == Reply(status: 200, body: bytes(expected)), "should be \(expected)")
      try check(commitment.owner == caller.chainOwner && commitment.created == now, "should be of its caller, and new")
      if caller.mode == .test {
        let seed = decider.testSeeds.seed(account: caller.account, commitment: id).seed
        try check(commitment.active.seed == seed, "should be the test seed")
      }
      model.learn(id, of: caller, now: now)
      if commitments.count < 60 {
        commitments.append((id, caller))
      } else {
        commitments[random.int(0...59)] = (id, caller)
      }
      seen.insert(.committed)
    case .revealed(let id, let request):
      guard let commitment = ledger.commitments[id] else { throw Divergence(description: "no such commitment") }
      let test = TestDrawID(account: caller.account, digest: id.bytes)
      guard let outcome = caller.mode == .live ? ledger.outcome(of: id) : ledger.testOutcomes[test] else {
        throw Divergence(description: "nothing was recorded")
      }
      try check(
        outcome.created == now && outcome.mode == caller.mode
          && commitment.use == Commitment.Use(outcome: outcome.id, clientSeed: outcome.clientSeed, revealed: now)
          && (outcome.epoch, outcome.cursor, outcome.nonce) == (0, 0, 0),
        "should be of now, at 0:0")
      try rederive(outcome, of: request, from: commitment.active.seed)
      var body: [UInt8] = []
      let shortID = decider.renderer.append(outcome, to: &body)
      body.removeLast()
      body += bytes(",\"serverSeed\":\"\(commitment.active.seed.description)\",\"commitId\":\"\(id)\"}")
      try check(reply == Reply(status: 200, body: body, shortID: shortID), "should be \(text(body))")
      seen.insert(caller.mode == .live ? .revealed : .revealedInTestMode)
    case .again: break
    }
  }

  private func compare(_ refusal: [String: JSONValue], code: String?, error: String?) throws {
    try check(refusal["code"]?.string == code.map(bytes), "should have the code \(code ?? "none")")
    let sentence = refusal["error"]?.string ?? []
    try check(error.map(bytes) ?? sentence == sentence && !sentence.isEmpty, "should say \(error ?? "why")")
  }

  /// The stored outcome of a draw, derived again.
  private mutating func outcome(_ part: Model.Part) throws -> Outcome {
    switch part {
    case .drawn(let key, let position, let request):
      guard let outcome = ledger.outcome(key, cursor: position.cursor, nonce: position.nonce),
        let seed = ledger.chains[key].flatMap({ ledger.seed(of: $0, epoch: position.epoch) })
      else { throw Divergence(description: "nothing was recorded at \(position)") }
      try check(
        outcome.created == now && outcome.mode == .live && outcome.epoch == position.epoch,
        "should be of now, live, and of epoch \(position.epoch)")
      try rederive(outcome, of: request, from: seed)
      seen.insert(position.epoch > 0 ? .drawnAfterRotation : .drawn)
      return outcome
    case .rehearsed(let account, let request):
      let caller = Caller.key(KeyID(0), account, .test)
      let needs = Needs(of: [Submission(caller: caller, operation: .draw(request))])
      guard let outcome = needs.testDraws.first.flatMap({ ledger.testOutcomes[$0] }) else {
        throw Divergence(description: "no test outcome was recorded")
      }
      let identity =
        bytes(
          "\(account.rawValue) \(request.clientSeed) \(request.generator)")
        + (request.items?.text ?? [])
      try check(rehearsals[identity] ?? outcome.id == outcome.id, "should be test outcome \(rehearsals[identity] ?? 0)")
      rehearsals[identity] = outcome.id
      try check(outcome.cursor == 0 && outcome.nonce == 0 && outcome.mode == .test, "should be at 0:0, and a test")
      let seed = decider.testSeeds.seed(account: account, clientSeed: request.clientSeed).seed
      try rederive(outcome, of: request, from: seed)
      seen.insert(.rehearsed)
      return outcome
    case .refused: throw Divergence(description: "was refused")
    }
  }

  /// Every live outcome was the answer to one request that ran, and to no other.
  func auditAnswers() throws {
    let recorded = Dictionary(uniqueKeysWithValues: ledger.outcomes.map { (shortIDs.encode($0.id), 1) })
    try check(recorded == answeredShortIDs, "outcomes and first answers differ")
  }
}
