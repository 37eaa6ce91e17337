import Fairness
import Ledger

/// What the ledger has to answer, byte for byte, one submission after another and with none of its machinery: the
/// specification that the simulation holds it to.
///
/// It shares no code with the program but `Fairness`, which derives seeds and values, and ``ShortIDs``; both have vectors of
/// their own.
struct Model {
  /// What a client sees.
  struct Answer: Equatable {
    var status = 200
    var body: String
    var shortID: String?
    var retryAfter: Int?
    var isReplay = false
    /// What is left of the account's quota and, if it has one, of the key's.
    var left: [Int]?
  }

  struct Position {
    var epoch = 0
    var cursor: Int64 = 0
    var nonce: Int64 = 0
    var seed: ServerSeed
    let created: Milliseconds
  }

  struct Promise {
    let owner: ChainOwner
    let hash: ServerHash
    /// Known beforehand in test mode alone.
    let seed: ServerSeed?
    let created, expires: Milliseconds
    /// The short id of the outcome it has become.
    var outcome: String?
  }

  /// Everything that a run should be about.
  enum Event: CaseIterable {
    case drawn, rehearsed, replayed, conflict, quotaRefused, quotaRefusedInBatch, revoked, expired, told
    case noChain, seeded, moved, fullBatch, rotated, nothingToRotate, drawnAfterRotation, committed, revealed
    case revealedInTestMode, unknownCommitment, foreignCommitment, usedCommitment, expiredCommitment
    case quotaRefusedReveal, keyQuotaRefused, damaged, damagedInBatch, allDrawn, aborted, abortedAtQuota,
      abortedByDamage
    // What the simulation sees to.
    case midnight, setBack, sameGroupTwice, lost, slow, reopened, swept
  }

  /// What the store finds damaged: whoever needs it is refused, and nothing of theirs changes.
  var damage: Set<Need> = []
  var revoked: Set<KeyID> = []
  /// How many endpoints each account has.
  var webhooks: [AccountID: Int] = [:]
  var seen: Set<Event> = []
  var quota: [AccountID: Int]
  /// Of keys that have one of their own.
  var keyQuota: [KeyID: Int] = [:]
  private var usedByKey: [KeyID: [Day: Int]] = [:]
  /// Outcomes that were counted for keys.
  private(set) var keyDrawn = 0
  private(set) var chains: [ChainKey: Position] = [:]
  private(set) var promises: [CommitID: Promise] = [:]
  private(set) var used: [AccountID: [Day: Int]] = [:]
  /// Live outcomes, outcomes of either mode, webhook events, seeds revealed, and when the last live outcome was drawn.
  private(set) var (drawn, outcomes, deliveries, reveals, lastDrawn) = (0, Int64(0), 0, 0, Milliseconds(0))
  private(set) var kept: [IdempotencyScope: (fingerprint: [UInt8], answer: Answer, at: Milliseconds)] = [:]
  /// The JSON of each outcome as a look-up gives it, by row number.
  private(set) var recorded: [Int64: String] = [:]
  /// Where outcomes were drawn from chains, by row number.
  private(set) var places: [Int64: (chain: ChainKey, cursor: Int64, nonce: Int64)] = [:]
  /// Test outcomes, by account and parameters.
  private var rehearsals: [[UInt8]: (json: String, shortID: String)] = [:]
  /// What was committed to by the last submission.
  private(set) var newCommitment: CommitID?

  init(quota: [AccountID: Int]) { self.quota = quota }

  /// - Parameter heard: what the ledger answered. Only what nobody can know before is taken from it: the name and the hash
  ///   of a commitment, and the seed that has this hash.
  /// - Returns: nil if the submission met a fault and changed nothing.
  mutating func answer(_ submission: Submission, now: Milliseconds, heard: Reply) throws -> Answer? {
    do {
      return try settle(submission, now, heard)
    } catch let refused as Refused {
      note(refused, submission.operation)
      return refused.isFault ? nil : refused.answer
    }
  }

  private mutating func settle(_ submission: Submission, _ now: Milliseconds, _ heard: Reply) throws -> Answer {
    newCommitment = nil
    if submission.caller != .anonymous { try check(.account(submission.caller.account)) }
    if case .key(let key, _, _) = submission.caller, revoked.contains(key) { throw Refused.revoked }
    guard let claim = submission.claim else { return try run(submission, now, heard) }
    try check(.record(claim.scope))
    if let kept = kept[claim.scope] {
      if now - kept.at < day {
        guard kept.fingerprint == claim.fingerprint else { throw Refused.conflict }
        seen.insert(.replayed)
        var answer = kept.answer
        answer.isReplay = true
        answer.left = nil
        return answer
      }
      seen.insert(.expired)
    }
    let answer: Answer
    do {
      answer = try run(submission, now, heard)
    } catch let refused as Refused {
      // What may be another answer later is not kept.
      guard !refused.isFault, ![401, 403, 429].contains(refused.status) else { throw refused }
      note(refused, submission.operation)
      answer = refused.answer
    }
    kept[claim.scope] = (claim.fingerprint, answer, now)
    return answer
  }

  private func check(_ need: Need) throws { if damage.contains(need) { throw Refused.damaged } }

  private mutating func run(_ submission: Submission, _ now: Milliseconds, _ heard: Reply) throws -> Answer {
    var answer = try perform(submission, now, heard)
    guard case .key(let key, let account, .live) = submission.caller else { return answer }
    switch submission.operation {
    case .draw, .batch, .reveal:
      let today = Day(of: now)
      answer.left = [max(0, (quota[account] ?? 0) - (used[account]?[today] ?? 0))]
      if let own = keyQuota[key] { answer.left?.append(max(0, own - (usedByKey[key]?[today] ?? 0))) }
    default: break
    }
    return answer
  }

  private mutating func perform(_ submission: Submission, _ now: Milliseconds, _ heard: Reply) throws -> Answer {
    let caller = submission.caller
    switch submission.operation {
    case .draw(let request):
      let outcome = try draw(request, caller, now)
      return Answer(body: outcome.json, shortID: outcome.shortID)
    case .batch(let entries, let isAtomic):
      let before = self
      let (answer, failures) = try batch(entries, caller, now)
      guard isAtomic else { return answer }
      guard failures.contains(where: { $0 != nil }) else {
        seen.insert(.allDrawn)
        return answer
      }
      let seen = seen
      self = before
      self.seen = seen
      return try aborted(entries, failures)
    case .seed(let clientSeed):
      seen.insert(.seeded)
      guard caller.mode == .live else {
        let seed = testSeed(caller.account, clientSeed.bytes)
        return Answer(body: "{\"clientSeed\":\(quoted(clientSeed.bytes)),\(place(seed, 0, 0))}")
      }
      let chain = try chain(caller, clientSeed, now)
      return Answer(
        body: "{\"clientSeed\":\(quoted(clientSeed.bytes)),\(place(chain.seed, chain.cursor, chain.nonce))}")
    case .incrementCursor(let clientSeed):
      guard caller.mode == .live else { throw Refused.testMode }
      let key = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
      try check(.chain(key))
      guard var chain = chains[key] else { throw Refused.noChain }
      seen.insert(.moved)
      chain.cursor += 1
      chains[key] = chain
      return Answer(
        body: "{\"clientSeed\":\(quoted(clientSeed.bytes)),\(place(chain.seed, chain.cursor, chain.nonce)),"
          + "\"created\":\(now)}")
    case .rotate(let clientSeed): return try rotate(clientSeed, caller, now)
    case .commit: return try commit(caller, now, heard)
    case .reveal(let id, let request): return try reveal(id, request, caller, now, heard)
    case .refuse(let refusal): throw Refused(refusal)
    }
  }

  private mutating func batch(
    _ entries: [BatchEntry], _ caller: Caller, _ now: Milliseconds
  ) throws -> (Answer, failures: [Refused?]) {
    if entries.count == 50 { seen.insert(.fullBatch) }
    var results: [String] = []
    var failures: [Refused?] = []
    for entry in entries {
      do {
        switch entry {
        case .draw(let request, _):
          results.append("{\"ok\":true,\(id(entry))\"outcome\":\(try draw(request, caller, now).json)}")
          failures.append(nil)
        case .refused(let refusal, _):
          try checkQuota(caller, now)
          throw Refused(refusal)
        }
      } catch let refused as Refused {
        if refused.status == 429 { seen.insert(.quotaRefusedInBatch) }
        if refused.isFault { seen.insert(.damagedInBatch) }
        results.append("{\"ok\":false,\(id(entry))\(refused.members)}")
        failures.append(refused)
      }
    }
    return (Answer(body: "{\"results\":[\(results.joined(separator: ","))]}"), failures)
  }

  /// The answer to a batch of which nothing was drawn.
  private mutating func aborted(_ entries: [BatchEntry], _ failures: [Refused?]) throws -> Answer {
    if let fault = failures.compactMap({ $0 }).first(where: \.isFault) {
      seen.insert(.abortedByDamage)
      throw fault
    }
    seen.insert(failures.contains { $0?.status == 429 } ? .abortedAtQuota : .aborted)
    let results = zip(entries, failures).map { entry, failure in
      "{\"ok\":false,\(id(entry))\((failure ?? .aborted).members)}"
    }
    return Answer(body: "{\"results\":[\(results.joined(separator: ","))]}")
  }

  private func id(_ entry: BatchEntry) -> String {
    switch entry {
    case .draw(_, let id), .refused(_, let id): id.map { "\"id\":\(quoted($0))," } ?? ""
    }
  }

  // MARK: Drawing

  private mutating func draw(
    _ request: DrawRequest, _ caller: Caller, _ now: Milliseconds
  ) throws -> (json: String, shortID: String) {
    guard caller.mode == .live else { return try rehearse(request, caller.account, now) }
    try checkQuota(caller, now)
    let chain = try chain(caller, request.clientSeed, now)
    seen.insert(chain.epoch > 0 ? .drawnAfterRotation : .drawn)
    let key = ChainKey(owner: caller.chainOwner, clientSeed: request.clientSeed)
    chains[key]?.nonce += 1
    count(caller, now)
    places[outcomes + 1] = (key, chain.cursor, chain.nonce)
    return try record(request, chain.seed, chain.cursor, chain.nonce, .live, now)
  }

  /// The chain, made if it is new.
  private mutating func chain(_ caller: Caller, _ clientSeed: ClientSeed, _ now: Milliseconds) throws -> Position {
    let key = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
    try check(.chain(key))
    if let chain = chains[key] { return chain }
    let chain = Position(seed: seedKey.serverSeed(for: input(key, epoch: 0)), created: now)
    chains[key] = chain
    return chain
  }

  private mutating func rehearse(
    _ request: DrawRequest, _ account: AccountID, _ now: Milliseconds
  ) throws -> (json: String, shortID: String) {
    seen.insert(.rehearsed)
    let seed = testSeed(account, request.clientSeed.bytes)
    // The same draw of the same items, whenever it is made.
    let drawn = try outcome(request, seed, 0, 0, "test", 0, "")
    let identity = Array(drawn.utf8) + (request.items?.text ?? [])
    if let known = rehearsals[identity] { return known }
    let outcome = try record(request, seed, 0, 0, .test, now)
    rehearsals[identity] = outcome
    return outcome
  }

  private mutating func count(_ caller: Caller, _ now: Milliseconds) {
    used[caller.account, default: [:]][Day(of: now), default: 0] += 1
    if case .key(let key, _, _) = caller, keyQuota[key] != nil {
      usedByKey[key, default: [:]][Day(of: now), default: 0] += 1
      keyDrawn += 1
    }
    drawn += 1
    lastDrawn = now
    let events = webhooks[caller.account] ?? 0
    deliveries += events
    if used[caller.account]?[Day(of: now)] == quota[caller.account] { deliveries += events }
    if events > 0 { seen.insert(.told) }
  }

  private mutating func record(
    _ request: DrawRequest, _ seed: ServerSeed, _ cursor: Int64, _ nonce: Int64, _ mode: Mode, _ now: Milliseconds
  ) throws -> (json: String, shortID: String) {
    outcomes += 1
    let shortID = String(decoding: shortIDs.encode(outcomes), as: UTF8.self)
    let json = try outcome(request, seed, cursor, nonce, mode == .live ? "live" : "test", now, shortID)
    recorded[outcomes] = json
    return (json, shortID)
  }

  private mutating func checkQuota(_ caller: Caller, _ now: Milliseconds) throws {
    guard case .key(let key, let account, .live) = caller else { return }
    if used[account]?[Day(of: now)] ?? 0 >= quota[account] ?? 0 { throw Refused.quota(now) }
    if let own = keyQuota[key], usedByKey[key]?[Day(of: now)] ?? 0 >= own {
      seen.insert(.keyQuotaRefused)
      throw Refused.quota(now, of: "API key")
    }
  }

  // MARK: Revealing

  private mutating func rotate(_ clientSeed: ClientSeed, _ caller: Caller, _ now: Milliseconds) throws -> Answer {
    guard caller.mode == .live else { throw Refused.testMode }
    let key = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
    try check(.chain(key))
    guard var chain = chains[key], chain.nonce > 0 else { throw Refused.nothingToRotate }
    seen.insert(.rotated)
    let (seed, proof) = seedKey.prove(input(key, epoch: chain.epoch))
    try expect(seed == chain.seed, "the seed that is proven", "another")
    let revealed = place(seed, chain.cursor, chain.nonce)
    chain.epoch += 1
    chain.seed = seedKey.serverSeed(for: input(key, epoch: chain.epoch))
    chains[key] = chain
    reveals += 1
    deliveries += webhooks[caller.account] ?? 0
    let scope = key.owner == .anonymous ? "anonymous" : "account:\(key.owner.rawValue)"
    return Answer(
      body:
        "{\"clientSeed\":\(quoted(clientSeed.bytes)),\"revealed\":{\"serverSeed\":\"\(seed.description)\",\(revealed),"
        + "\"seedProof\":{\"suite\":\"vrf-r255\",\"publicKey\":\"\(proof.publicKey)\",\"scope\":\"\(scope)\",\"era\":0,"
        + "\"epoch\":\(chain.epoch - 1),\"proof\":\"\(hexadecimal(proof.proof.bytes))\"}},"
        + "\"next\":{\(place(chain.seed, chain.cursor, chain.nonce)),\"rotatedAt\":\(now)}}")
  }

  private mutating func commit(_ caller: Caller, _ now: Milliseconds, _ heard: Reply) throws -> Answer {
    // {"commitId":"…36…","serverHash":"…64…","expiresAt":…}
    let name = text(heard.body.dropFirst(13).prefix(36))
    guard let id = CommitID(name), promises[id] == nil, id.bytes[6] >> 4 == 4, id.bytes[8] >> 6 == 2,
      let hash = try? ServerHash(hex: text(heard.body.dropFirst(65).prefix(64)))
    else { throw Divergence(expected: "a commitment", came: text(heard.body)) }
    let seed = caller.mode == .live ? nil : testSeed(caller.account, commitment: id)
    try expect(seed.map { $0.hash == hash } ?? true, "the test seed's hash", "another")
    promises[id] = Promise(owner: caller.chainOwner, hash: hash, seed: seed, created: now, expires: now + 600_000)
    newCommitment = id
    seen.insert(.committed)
    return Answer(
      body:
        "{\"commitId\":\"\(hyphenated(id))\",\"serverHash\":\"\(hexadecimal(hash.bytes))\",\"expiresAt\":\(now + 600_000)}"
    )
  }

  private mutating func reveal(
    _ id: CommitID, _ request: DrawRequest, _ caller: Caller, _ now: Milliseconds, _ heard: Reply
  ) throws -> Answer {
    try check(.commitment(id))
    guard let promise = promises[id] else { throw Refused.unknownCommitment }
    guard promise.owner == caller.chainOwner else { throw Refused.foreignCommitment }
    if let outcome = promise.outcome { throw Refused.usedCommitment(outcome) }
    guard now < promise.expires else { throw Refused.expiredCommitment }
    try checkQuota(caller, now)
    // …"serverSeed":"…64…","commitId":"…36…"}
    let told = heard.body.suffix(64 + 14 + 36 + 2).prefix(64)
    guard let seed = try promise.seed ?? (try? ServerSeed(hex: told)), seed.hash == promise.hash else {
      throw Divergence(expected: "a seed of the hash \(promise.hash)", came: text(heard.body))
    }
    seen.insert(caller.mode == .live ? .revealed : .revealedInTestMode)
    if caller.mode == .live {
      count(caller, now)
      reveals += 1
    }
    let (json, shortID) = try record(request, seed, 0, 0, caller.mode, now)
    promises[id]?.outcome = shortID
    return Answer(
      body: "\(json.dropLast()),\"serverSeed\":\"\(seed.description)\",\"commitId\":\"\(hyphenated(id))\"}",
      shortID: shortID)
  }

  /// Forgets what the ledger deletes in time.
  mutating func sweep(_ now: Milliseconds) {
    let before = promises.count
    kept = kept.filter { now - $0.value.at < day }
    promises = promises.filter { $0.value.outcome != nil || now - $0.value.expires < day }
    if promises.count < before { seen.insert(.swept) }
  }

  // MARK: What came up

  private mutating func note(_ refused: Refused, _ operation: Ledger.Operation) {
    switch refused.code {
    case "idempotency_replay": seen.insert(.conflict)
    case "invalid_api_key": seen.insert(.revoked)
    case "quota_exceeded":
      if case .reveal = operation { seen.insert(.quotaRefusedReveal) } else { seen.insert(.quotaRefused) }
    case "unknown_commitment": seen.insert(.unknownCommitment)
    case "commitment_not_yours": seen.insert(.foreignCommitment)
    case "commitment_used": seen.insert(.usedCommitment)
    case "commitment_expired": seen.insert(.expiredCommitment)
    case "damaged": seen.insert(.damaged)
    default:
      if refused.status == 404 { seen.insert(.nothingToRotate) }
      if case .incrementCursor = operation, refused.status == 400 { seen.insert(.noChain) }
    }
  }
}

/// How the ledger and what it is held to part ways.
package struct Divergence: Error, CustomStringConvertible {
  package let description: String

  package init(description: String) { self.description = description }

  init(expected: String, came: String) {
    description = "expected: \(expected)\ncame:     \(came)"
  }
}

package func check(_ condition: Bool, _ otherwise: @autoclosure () -> String) throws {
  if !condition { throw Divergence(description: otherwise()) }
}

func expect(_ condition: Bool, _ expected: @autoclosure () -> String, _ came: @autoclosure () -> String) throws {
  if !condition { throw Divergence(expected: expected(), came: came()) }
}
