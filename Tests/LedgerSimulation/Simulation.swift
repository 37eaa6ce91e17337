import Fairness
import Ledger

/// Clients that draw, repeat themselves and contradict themselves; a server whose store fails and which crashes; a clock
/// that jumps.
///
/// Submissions of all kinds go through ``LedgerWriter`` to a store. Each answer, and what is stored after each fault, must
/// be what ``Model`` says, byte for byte. One seed gives the same run on every machine.
package struct Simulation {
  package enum Store: String, CaseIterable, Sendable { case memory, sqlite }

  /// Submissions that were sent.
  package private(set) var submissions = 0
  private var steps = 0
  private let server: SimulatedServer
  private var model: Model
  private var random: SplitMix64
  private var callers: [Caller] = [.anonymous]
  private var nextClaim = 0
  /// Sent lately, and any time.
  private var recent: [Submission] = []
  private var old: [Submission] = []
  /// Whose senders have had no answer.
  private var unanswered: [Submission] = []
  /// What callers know to reveal.
  private var commitments: [(id: CommitID, caller: Caller)] = []

  private static let clientSeeds =
    (0..<20).map { seed("client-\($0)") }
    + [seed("é"), seed("e\u{301}"), seed("\"\\\n\t\r\u{1}/\u{7f}"), seed(String(repeating: "x", count: 256))]
  private static let quotas: [Int?] = [0, 1, 25, 200, nil, 100_000]
  private static let unknownKey = Caller.live(9999, account: 1)

  package init(seed: UInt64, store: Store) async throws {
    random = SplitMix64(state: seed)
    server = try await SimulatedServer(store, random: SplitMix64(state: random.next()), quotas: Self.quotas)
    let quotas = Self.quotas.enumerated().map { (AccountID(Int64($0 + 1)), $1 ?? 1000) }
    model = Model(quota: Dictionary(uniqueKeysWithValues: quotas))
    model.revoked.insert(KeyID(9999))
    for (account, _) in quotas {
      for mode in [Mode.live, .live, .test] { callers.append(try await server.addKey(account, mode)) }
    }
  }

  /// Goes on until so many submissions, or a few more, were sent.
  ///
  /// - Throws: ``Divergence``, with the step. The simulation is over then.
  package mutating func advance(to count: Int) async throws {
    do {
      while submissions < count { try await step() }
    } catch {
      throw ended(by: error)
    }
  }

  /// Holds all that is stored against the model, and ends the simulation.
  package mutating func finish() async throws {
    do {
      let wrong = try await server.audit()
      try check(wrong.isEmpty, "what is stored is wrong: \(wrong.prefix(5).joined(separator: "; "))")
      try await checkCounts()
      try await checkLookUps()
    } catch {
      throw ended(by: error)
    }
    await server.drain()
    server.deleteFile()
  }

  private func ended(by error: any Error) -> Divergence {
    server.deleteFile()
    return Divergence(description: "step \(steps), submission \(submissions)\n\(error)")
  }

  /// What a long run should be about and this one was not.
  package var missed: [String] {
    let moods = server.moods
    return Model.Event.allCases.filter { !model.seen.contains($0) }.map { "\($0)" }
      + FaultyStore.Mood.allCases.filter { $0 != .slow && !moods.contains($0) }.map { "\($0)" }
  }

  // MARK: What happens

  private mutating func step() async throws {
    steps += 1
    moveClock()
    if random.chance(0.5) { try await replaceKey() }
    if random.chance(3) { try await changeWebhooks() }
    if random.chance(3) { try await changeQuota() }
    if random.chance(1) {
      try await server.reopen(lastDrawn: model.lastDrawn)
      model.seen.insert(.reopened)
    }
    if random.chance(1) {
      try server.sweep()
      model.sweep(server.now)
    }
    let group = nextGroup()
    // While the first are being stored, some of them come again.
    let later = random.chance(10) ? group.filter { _ in random.chance(50) } + nextGroup() : []
    if !later.isEmpty { model.seen.insert(.slow) }
    // Batches are few, and have the most that can be damaged.
    let batch = random.chance(50) ? group.first { if case .batch = $0.operation { true } else { false } } : nil
    let damage = random.chance(4) ? need(of: batch ?? random.pick(group)) : nil
    model.damage = damage.map { [$0] } ?? []

    let now = server.now
    var isWell = damage == nil
    for (submission, outcome) in try server.exchange(group, later: later, damage: damage) {
      submissions += 1
      switch outcome {
      case .stored(let reply, let isHeard):
        try compare(reply, to: submission, now)
        if !isHeard {
          model.seen.insert(.lost)
          unanswered.append(submission)
          isWell = false
        }
      case .failed:
        unanswered.append(submission)
        isWell = false
      }
    }
    if !isWell || random.chance(5) { try await checkStored(Needs(of: group + later)) }
  }

  private mutating func moveClock() {
    let before = server.now
    var moment = server.clockTime
    switch Double.random(in: 0..<100, using: &random) {
    case ..<1: moment = (moment / day + 1) * day - Int64(random.int(1...20))
    case ..<2: moment += Int64(random.int(0...26)) * 3_600_000
    case ..<2.7:
      moment -= Int64(random.int(1...10_000_000))
      model.seen.insert(.setBack)
    case ..<4.7:
      guard let (end, due) = boundary() else { return }
      moment = end
      unanswered.append(due)
    default: moment += Int64(random.int(0...240_000))
    }
    server.moveClock(to: moment)
    if Day(of: server.now) != Day(of: before) { model.seen.insert(.midnight) }
  }

  /// When a commitment or an idempotency key expires, or a millisecond before, with a submission that depends on it.
  private mutating func boundary() -> (moment: Milliseconds, due: Submission)? {
    let (now, early) = (server.now, Milliseconds(random.int(0...1)))
    if random.chance(50) {
      let open = commitments.filter { model.promises[$0.id].map { $0.outcome == nil && $0.expires > now } ?? false }
      guard let (id, caller) = open.randomElement(using: &random), let promise = model.promises[id] else { return nil }
      let reveal = Ledger.Operation.reveal(id, random.drawRequest(Self.clientSeeds))
      return (promise.expires - early, Submission(caller: caller, operation: reveal))
    }
    guard let again = recent.randomElement(using: &random), let scope = again.claim?.scope,
      let kept = model.kept[scope], kept.at + day > now
    else { return nil }
    return (kept.at + day - early, again)
  }

  private mutating func replaceKey() async throws {
    let index = random.int(1...(callers.count - 1))
    guard case .key(let key, let account, let mode) = callers.remove(at: index) else { return }
    try await server.revoke(key, of: account)
    model.revoked.insert(key)
    callers.append(try await server.addKey(account, mode))
  }

  private mutating func changeQuota() async throws {
    if random.chance(10) {
      let account = AccountID(Int64(random.int(1...Self.quotas.count)))
      let quota = random.pick(Self.quotas)
      try await server.setQuota(quota, of: account)
      model.quota[account] = quota ?? 1000
      return
    }
    guard case .key(let key, let account, .live) = random.pick(callers) else { return }
    let quota: Int? = random.pick([nil, 0, 2, 30])
    try await server.setQuota(quota, of: key, account)
    model.keyQuota[key] = quota
  }

  private mutating func changeWebhooks() async throws {
    let account = AccountID(Int64(random.int(1...Self.quotas.count)))
    let adding = model.webhooks[account] ?? 0 < 5 && random.chance(70)
    try await server.changeWebhooks(of: account, adding: adding)
    model.webhooks[account] = adding ? (model.webhooks[account] ?? 0) + 1 : 0
  }

  /// Something that the submission needs, if it needs anything.
  private mutating func need(of submission: Submission) -> Need? {
    let caller = submission.caller
    var needs: [Need] = []
    if caller != .anonymous { needs.append(.account(caller.account)) }
    if let claim = submission.claim { needs.append(.record(claim.scope)) }
    func addChain(_ clientSeed: ClientSeed) {
      if caller.mode == .live { needs.append(.chain(ChainKey(owner: caller.chainOwner, clientSeed: clientSeed))) }
    }
    switch submission.operation {
    case .draw(let request): addChain(request.clientSeed)
    case .batch(let entries, _):
      for case .draw(let request, _) in entries { addChain(request.clientSeed) }
    case .seed(let clientSeed), .incrementCursor(let clientSeed), .rotate(let clientSeed): addChain(clientSeed)
    case .reveal(let id, _): needs.append(.commitment(id))
    case .commit, .refuse: break
    }
    return needs.randomElement(using: &random)
  }

  private mutating func nextGroup() -> [Submission] {
    var group: [Submission] = []
    for _ in 0..<(random.chance(30) ? 1 : random.int(1...25)) {
      let submission: Submission
      switch random.int(1...100) {
      case _ where group.isEmpty && !unanswered.isEmpty, ...12 where !unanswered.isEmpty:
        submission = unanswered.removeLast()
      case ...22 where !recent.isEmpty: submission = random.pick(recent)
      case ...27 where !old.isEmpty: submission = random.pick(old)
      case ...33 where !recent.isEmpty: submission = contradiction(of: random.pick(recent))
      default:
        submission = newSubmission()
        remember(submission)
      }
      group.append(submission)
      if random.chance(4) {
        model.seen.insert(.sameGroupTwice)
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
      return .batch(
        (0..<count).map { _ in
          let id = random.chance(30) ? random.pick(["a", "é\"\n", ""]).utf8.map { $0 } : nil
          return random.chance(15)
            ? .refused(.invalid("items", "required"), id: id) : .draw(random.drawRequest(Self.clientSeeds), id: id)
        }, isAtomic: random.chance(30))
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

  private mutating func compare(_ reply: Reply, to submission: Submission, _ now: Milliseconds) throws {
    do {
      guard let expected = try model.answer(submission, now: now, heard: reply) else {
        return try expect(reply.status == 500, "a fault", "\(reply.status) \(text(reply.body))")
      }
      let body = Array(expected.body.utf8)
      if body != reply.body { throw Divergence(body, reply.body) }
      try expect(reply.status == expected.status, "status \(expected.status)", "\(reply.status) \(text(body))")
      try expect(reply.isReplay == expected.isReplay, "a replay: \(expected.isReplay)", "\(reply.isReplay)")
      let left = reply.quotaLeft.map { [$0.daily] + ($0.key.map { [$0] } ?? []) }
      try expect(left == expected.left, "quotas left \(expected.left ?? [])", "\(left ?? [])")
      let (shortID, retryAfter) = (reply.shortID.map { text($0) }, reply.retryAfter)
      try expect(shortID == expected.shortID, "short id \(expected.shortID ?? "none")", shortID ?? "none")
      try expect(
        retryAfter == expected.retryAfter, "Retry-After \(expected.retryAfter ?? 0)", "\(retryAfter ?? 0)")
    } catch {
      throw Divergence(description: "\(submission.inBrief)\n\(error)")
    }
    if let id = model.newCommitment {
      if commitments.count < 60 {
        commitments.append((id, submission.caller))
      } else {
        commitments[random.int(0...59)] = (id, submission.caller)
      }
    }
  }

  /// Holds what a group needs, as it is stored now, against the model.
  private func checkStored(_ needs: Needs) async throws {
    let stored = try server.store.look(needs)
    try expect(stored.nextOutcome == model.outcomes + 1, "\(model.outcomes) outcomes", "\(stored.nextOutcome - 1)")
    for key in needs.chains {
      let (chain, expected) = (stored.chains[key], model.chains[key])
      let place = chain.map { [Int64($0.epoch), $0.cursor, $0.nonce, $0.created] }
      let expectedPlace = expected.map { [Int64($0.epoch), $0.cursor, $0.nonce, $0.created] }
      try expect(
        place == expectedPlace && chain?.active.seed == expected?.seed,
        "the chain of \(key) at \(expectedPlace ?? [])", "\(place ?? [])")
    }
    for account in needs.accounts {
      let used = model.used[account]?[Day(of: stored.now)] ?? 0
      let came = stored.accounts[account]?.usedToday
      try expect(came == used, "\(account) to have drawn \(used)", "\(came ?? -1)")
      let webhooks = needs.webhookAccounts.contains(account) ? model.webhooks[account] ?? 0 : 0
      let found = stored.webhooks[account]?.count ?? 0
      try expect(found == webhooks, "\(webhooks) webhooks of \(account)", "\(found)")
    }
    for (scope, fingerprint) in needs.claims {
      let (record, expected) = (stored.records[scope], model.kept[scope])
      guard let expected, stored.now - expected.at < day else { continue }
      try expect(
        record?.fingerprint == expected.fingerprint && record?.created == expected.at,
        "an answer kept under \(text(scope.key))", "another, or none")
      if fingerprint == expected.fingerprint, let body = record?.reply.body, body != Array(expected.answer.body.utf8) {
        throw Divergence(Array(expected.answer.body.utf8), body)
      }
    }
    for id in needs.commitments {
      let (commitment, expected) = (stored.commitments[id], model.promises[id])
      try expect(
        commitment?.created == expected?.created && commitment?.active.hash == expected?.hash
          && commitment?.use.map { shortIDs.encode($0.outcome) } == expected?.outcome.map { Array($0.utf8) },
        "commitment \(id) as it was answered", "another, or none")
    }
    try await checkCounts()
  }

  /// Nothing was stored that nobody was answered.
  private func checkCounts() async throws {
    let expected = [
      "outcomes": model.outcomes, "usage": Int64(model.drawn), "key_usage": Int64(model.keyDrawn),
      "deliveries": Int64(model.deliveries),
      "revealed": Int64(model.reveals),
    ]
    let counts = try await server.counts()
    try expect(counts == expected, "\(expected.sorted { $0.key < $1.key })", "\(counts.sorted { $0.key < $1.key })")
  }

  /// Outcomes are looked up as they were answered.
  private mutating func checkLookUps() async throws {
    guard let file = server.store.base, model.outcomes > 0 else { return }
    let renderer = OutcomeRenderer(shortIDs: shortIDs, publicURL: "https://draw.example")
    for _ in 0..<500 {
      let number = Int64.random(in: 1...model.outcomes, using: &random)
      var outcome = try await file.recordedOutcome(id: number)?.outcome
      outcome?.commitment = nil
      var body: [UInt8] = []
      if let outcome { renderer.append(outcome, to: &body) }
      let expected = Array((model.recorded[number] ?? "").utf8)
      if body != expected { throw Divergence(expected, body) }
      guard let (chain, cursor, nonce) = model.places[number] else { continue }
      let caller: Caller = chain.owner == .anonymous ? .anonymous : .holder(AccountID(chain.owner.rawValue))
      let found = try await file.outcome(of: caller, clientSeed: chain.clientSeed, cursor: cursor, nonce: nonce)?.id
      try expect(found == number, "outcome \(number) at \(cursor):\(nonce) of \(chain)", "\(found ?? 0)")
    }
  }
}

extension Divergence {
  /// Two bodies, from a little before they differ.
  init(_ expected: [UInt8], _ came: [UInt8]) {
    let same = zip(expected, came).prefix { $0 == $1 }.count
    func part(_ body: [UInt8]) -> String {
      let start = max(0, same - 60)
      return (start > 0 ? "…" : "") + text(body.dropFirst(start).prefix(160)) + (body.count > start + 160 ? "…" : "")
    }
    self.init(expected: part(expected), came: part(came))
  }
}

extension Submission {
  fileprivate var inBrief: String {
    let what =
      switch operation {
      case .draw(let request): "draw \(request.generator.kind) from \(request.clientSeed)"
      case .batch(let entries, let isAtomic): "\(isAtomic ? "atomic " : "")batch of \(entries.count)"
      case .reveal(let id, let request): "reveal \(id): \(request.generator.kind) with \(request.clientSeed)"
      default: "\(operation)"
      }
    let who =
      switch caller {
      case .key(let key, let account, let mode): "key \(key.rawValue) of account \(account.rawValue), \(mode)"
      default: "\(caller)"
      }
    return "\(who)\(claim.map { ", under \(text($0.scope.key))" } ?? ""): \(what)"
  }
}
