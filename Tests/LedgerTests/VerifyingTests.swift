import Fairness
import JSON
import Ledger
import LedgerSimulation
import Testing

/// What is recorded is enough to make the draw again, and what was changed afterwards is found out.
@Suite struct VerifyingTests {
  private static let secret = ServerSeed(bytes: Array(0..<32))
  private static let items = ItemList(json: ["1.50", #""é\u0000""#, "{\"a\":[null]}", "1e400"])

  /// Every generator, at its edges.
  private static let requests: [DrawRequest] = {
    let name = try! ClientSeed("a \"quoted\" é \u{2028}")
    let long = ItemList(json: (0..<1000).map { "\"\($0)\"" })
    let safe = Limits.safeIntegers
    func dice(_ notation: String) -> Generator { .dice(try! DiceNotation(notation)) }
    return [
      DrawRequest(clientSeed: name, generator: .floats(count: 1)),
      DrawRequest(clientSeed: name, generator: .floats(count: 100)),
      DrawRequest(clientSeed: name, generator: .ints(count: 3, min: 1, max: 6)),
      DrawRequest(
        clientSeed: name, generator: .ints(count: 100, min: safe.lowerBound, max: safe.lowerBound + (1 << 32) - 1)),
      DrawRequest(clientSeed: name, generator: .ints(count: 1, min: safe.upperBound, max: safe.upperBound)),
      DrawRequest(clientSeed: name, generator: .shuffle(items: 4), items: items),
      DrawRequest(clientSeed: name, generator: .shuffle(items: 1), items: ItemList(json: ["[1,[2]]"])),
      DrawRequest(clientSeed: name, generator: .shuffle(items: 1000), items: long),
      DrawRequest(clientSeed: name, generator: .pick(items: 4, weights: nil), items: items),
      DrawRequest(
        clientSeed: name, generator: .pick(items: 4, weights: [0.1, 0, 1e300, .leastNonzeroMagnitude]), items: items),
      DrawRequest(clientSeed: name, generator: .pick(items: 1000, weights: nil), items: long),
      DrawRequest(clientSeed: name, generator: .bytes(count: 1, encoding: .hex)),
      DrawRequest(clientSeed: name, generator: .bytes(count: 1024, encoding: .base64)),
      DrawRequest(clientSeed: name, generator: dice("d6")),
      DrawRequest(clientSeed: name, generator: dice("100d1000000-5")),
      DrawRequest(clientSeed: name, generator: dice("2d20+9007199254740951")),
      DrawRequest(clientSeed: name, generator: .gaussian(count: 3, .normal(mean: -0.1, stddev: 1e300))),
      DrawRequest(clientSeed: name, generator: .gaussian(count: 99, .exponential(lambda: 1e-300))),
      DrawRequest(clientSeed: name, generator: .gaussian(count: 100, .poisson(lambda: 99.5))),
      DrawRequest(clientSeed: name, generator: .sample(count: 1000, min: -500, max: 499)),
      DrawRequest(
        clientSeed: name, generator: .sample(count: 9, min: safe.lowerBound, max: safe.lowerBound + (1 << 32) - 1)),
    ]
  }()

  /// What a chain with the secret seed answers.
  private func outcome(of request: DrawRequest, cursor: Int64 = 3, nonce: Int64 = 7) -> Outcome {
    let key = ChainKey(owner: .anonymous, clientSeed: request.clientSeed)
    var snapshot = Snapshot(now: newYear, nextOutcome: 1, nextChain: 2)
    snapshot.chains[key] = SeedChain(
      id: 1, key: key, era: 0, epoch: 0, active: ActiveSeed(Self.secret), cursor: cursor, nonce: nonce, created: newYear
    )
    return decide(.draw(request), by: .anonymous, snapshot).changes.outcomes[0]
  }

  private func decide(_ operation: Ledger.Operation, by caller: Caller, _ snapshot: Snapshot) -> Decision {
    var entropy = SplitMix64(state: 1)
    let submission = Submission(caller: caller, operation: operation)
    return decider.decide([submission], snapshot: snapshot, entropy: &entropy)
  }

  private func changed(
    _ outcome: Outcome, clientSeed: ClientSeed? = nil, serverHash: ServerHash? = nil, cursor: Int64? = nil,
    nonce: Int64? = nil, endpoint: Endpoint? = nil, value: String? = nil, fields: String? = nil, items: String?? = nil
  ) -> Outcome {
    Outcome(
      id: outcome.id, chain: outcome.chain, mode: outcome.mode, clientSeed: clientSeed ?? outcome.clientSeed,
      serverHash: serverHash ?? outcome.serverHash, epoch: outcome.epoch, cursor: cursor ?? outcome.cursor,
      nonce: nonce ?? outcome.nonce, endpoint: endpoint ?? outcome.endpoint, value: value.map(bytes) ?? outcome.value,
      fields: fields.map(bytes) ?? outcome.fields, items: items.map { $0.map(bytes) } ?? outcome.items,
      created: outcome.created)
  }

  private func verdict(_ outcome: Outcome, _ seed: ServerSeed = Self.secret) -> Verdict {
    let revealed = RevealedSeed(
      chain: 1, owner: .anonymous, era: 0, epoch: 0, seed: seed, hash: seed.hash, cursor: 3, nonce: 8, revealed: newYear
    )
    return OutcomeVerifier(masterKey: masterKey, seeds: chainSeeds).verdict(
      on: RecordedOutcome(outcome: outcome, state: .revealed(revealed)))
  }

  // MARK: Reading back

  @Test(arguments: 0..<requests.count) func whatIsRecordedSaysWhatWasAsked(_ number: Int) throws {
    let request = Self.requests[number]
    let read = try DrawRequest(recorded: outcome(of: request))
    #expect(read.clientSeed == request.clientSeed)
    #expect(read.generator == request.generator)
    #expect(read.items == request.items)
  }

  @Test func randomDrawsAreReadBack() throws {
    var random = SplitMix64(state: announcedSeed())
    for _ in 0..<3000 {
      let request = random.drawRequest([seed("test")])
      let outcome = outcome(of: request, cursor: Int64(random.int(0...100)), nonce: Int64(random.int(0...1_000_000)))
      try rederive(outcome, of: try DrawRequest(recorded: outcome), from: Self.secret)
      #expect(verdict(outcome).code == .revealed)
    }
  }

  @Test(
    arguments: [
      (Endpoint.floats, "[0]", "", nil, "count"),
      (.floats, "[0]", "\"count\":0", nil, "count"),
      (.floats, "[0]", "\"count\":101", nil, "count"),
      (.floats, "[0]", "\"count\":1.5", nil, "count"),
      (.floats, "[0]", "\"count\":\"1\"", nil, "count"),
      (.floats, "[0]", "\"count\":1,\"count\":1", nil, "count"),
      (.floats, "[0]", "\"count\":1,", nil, "fields"),
      (.floats, "[0", "\"count\":1", nil, "outcome"),
      (.ints, "[0]", "\"min\":1,\"count\":1", nil, "max"),
      (.ints, "[0]", "\"min\":2,\"max\":1,\"count\":1", nil, "max"),
      (.ints, "[0]", "\"min\":1e300,\"max\":1,\"count\":1", nil, "min"),
      (.shuffle, "[]", "\"count\":1", nil, "items"),
      (.shuffle, "[]", "\"count\":1", "", "items"),
      (.shuffle, "[]", "\"count\":1", "1,", "items"),
      (.pick, "1", "\"index\":0,\"weights\":[1,2],\"count\":1", "1", "weights"),
      (.pick, "1", "\"index\":0,\"weights\":[-1],\"count\":1", "1", "weights"),
      (.pick, "1", "\"index\":0,\"weights\":[1e999],\"count\":1", "1", "weights"),
      (.pick, "1", "\"index\":0,\"weights\":[null],\"count\":1", "1", "weights"),
      (.pick, "1", "\"index\":0,\"count\":1", "1", "weights"),
      (.bytes, "\"00\"", "\"encoding\":\"utf8\",\"count\":1", nil, "encoding"),
      (.bytes, "\"00\"", "\"encoding\":\"hex\",\"count\":1025", nil, "count"),
      (.dice, "[1]", "\"count\":1", nil, "outcome"),
      (.dice, "{}", "\"count\":1", nil, "notation"),
      (.dice, "{\"notation\":\"1d1\"}", "\"count\":1", nil, "notation"),
      (.gaussian, "[0]", "\"distribution\":\"cauchy\",\"count\":1", nil, "distribution"),
      (.gaussian, "[0]", "\"distribution\":\"normal\",\"mean\":0,\"stddev\":0,\"count\":1", nil, "stddev"),
      (.gaussian, "[0]", "\"distribution\":\"poisson\",\"lambda\":101,\"count\":1", nil, "lambda"),
      (.sample, "[0]", "\"min\":1,\"max\":6,\"count\":7", nil, "count"),
      (.sample, "[0]", "\"min\":1,\"count\":1", nil, "max"),
    ] as [(Endpoint, String, String, String?, String)])
  func whatNoDrawCanHaveAnsweredIsNamed(
    _ endpoint: Endpoint, _ value: String, _ fields: String, _ items: String?, _ name: String
  ) {
    let bad = changed(
      outcome(of: .ints("test")), endpoint: endpoint, value: value, fields: fields, items: .some(items))
    let error = #expect(throws: InvalidParameter.self) { try DrawRequest(recorded: bad) }
    #expect(error?.name == name)
    #expect(verdict(bad).code == .badParameters && !verdict(bad).isVerified)
  }

  // MARK: Verdicts

  @Test(arguments: 0..<requests.count) func anUnchangedOutcomeIsVerified(_ number: Int) {
    let verdict = verdict(outcome(of: Self.requests[number]))
    #expect(verdict.isVerified && verdict.code == .revealed && verdict.serverSeed == Self.secret)
  }

  @Test func aChangedOutcomeIsNot() {
    let ints = outcome(of: .ints("test", count: 5))
    let value = text(ints.value)
    #expect(verdict(ints).code == .revealed)
    for changed in [
      changed(ints, value: value.replacing("[", with: "[1")), changed(ints, cursor: 4), changed(ints, nonce: 8),
      changed(ints, clientSeed: try! ClientSeed("Test")), changed(ints, fields: "\"min\":1,\"max\":99,\"count\":5"),
      changed(ints, fields: "\"min\":1,\"max\":100,\"count\":4"),
      changed(ints, fields: "\"min\":1,\"max\":100,\"count\":5,\"more\":1"),
    ] {
      #expect(verdict(changed).code == .outcomeMismatch && !verdict(changed).isVerified)
    }
    #expect(verdict(changed(ints, endpoint: .bytes)).code == .badParameters)
    let other = ServerSeed(bytes: Array(1..<33))
    #expect(verdict(changed(ints, serverHash: other.hash)).code == .hashMismatch)
    #expect(verdict(ints, other).code == .hashMismatch)

    let pick = outcome(of: Self.requests[8])
    let fields = text(pick.fields)
    let index = Int(fields.dropFirst(8).prefix(1))!
    #expect(
      verdict(changed(pick, fields: "\"index\":\((index + 1) % 4)" + fields.dropFirst(9))).code == .outcomeMismatch)
    #expect(verdict(changed(pick, items: .some("1.50,2,3,4"))).code == .outcomeMismatch)
    #expect(verdict(changed(pick, items: .some(nil))).code == .badParameters)
  }

  @Test func aSealedSeedIsTakenByItsHash() {
    let verifier = OutcomeVerifier(masterKey: masterKey, seeds: chainSeeds)
    let ints = outcome(of: .ints("test"))
    let kept = verifier.verdict(on: RecordedOutcome(outcome: ints, state: .inUse(ints.serverHash)))
    #expect(kept.isVerified && kept.code == .notRevealed && kept.serverSeed == nil)
    let other = ServerSeed(bytes: Array(1..<33)).hash
    let lost = verifier.verdict(on: RecordedOutcome(outcome: ints, state: .inUse(other)))
    #expect(!lost.isVerified && lost.code == .hashMismatch)
  }

  @Test func rehearsalsAreDerivedAgainByTheServerAlone() throws {
    let verifier = OutcomeVerifier(masterKey: masterKey, seeds: chainSeeds)
    let caller = Caller.test(1, account: 7)
    var snapshot = Snapshot(now: newYear, nextOutcome: 1, nextChain: 1)
    snapshot.keys = [KeyID(1)]
    func verdict(_ id: TestDrawID, _ outcome: Outcome) -> Verdict {
      verifier.verdict(on: RecordedOutcome(outcome: outcome, state: .rehearsal(id)))
    }
    let (id, outcome) = decide(.draw(.ints("test", count: 9)), by: caller, snapshot).changes.testOutcomes[0]
    #expect(verdict(id, outcome) == Verdict(.rehearsal))
    #expect(verdict(id, outcome).isVerified)
    #expect(verdict(id, changed(outcome, value: "[1,2,3,4,5,6,7,8,9]")).code == .outcomeMismatch)
    #expect(verdict(TestDrawID(account: AccountID(8), digest: id.digest), outcome).code == .hashMismatch)

    // A commitment's seed is told, in test mode too; and it is no client seed's.
    let commitment = decide(.commit, by: caller, snapshot).changes.newCommitments[0]
    snapshot.commitments[commitment.id] = commitment
    let changes = decide(.reveal(commitment.id, .ints("test")), by: caller, snapshot).changes
    let (revealedID, revealed) = changes.testOutcomes[0]
    #expect(verdict(revealedID, revealed) == Verdict(.revealed, serverSeed: commitment.active.seed))
    let record = RecordedOutcome(outcome: revealed, state: .rehearsal(revealedID))
    #expect(verifier.seed(of: record) == commitment.active.seed)
  }

  /// A client seed that is spelt like a commitment's name does not have its seed.
  @Test func testSeedsOfCommitmentsAreApart() throws {
    let id = CommitID(bytes: Array("sixteen letters!".utf8))
    let seeds = decider.testSeeds
    let alike = try ClientSeed(id.bytes)
    #expect(
      seeds.seed(account: AccountID(1), commitment: id).seed
        != seeds.seed(account: AccountID(1), clientSeed: alike).seed)
    #expect(
      seeds.seed(account: AccountID(1), commitment: id).seed != seeds.seed(account: AccountID(2), commitment: id).seed)
  }

  @Test(arguments: Verdict.Code.allCases) func everyVerdictIsAPlainSentence(_ code: Verdict.Code) {
    let reason = Verdict(code).reason
    #expect(reason.hasSuffix(".") && reason.first?.isUppercase == true && reason.utf8.count < 250)
  }

  // MARK: What is answered

  @Test(arguments: 0..<requests.count) func aVerdictCarriesAllThatItTakesToDeriveAgain(_ number: Int) throws {
    let outcome = outcome(of: Self.requests[number])
    var plain: [UInt8] = []
    decider.renderer.append(outcome, to: &plain)
    var body: [UInt8] = []
    decider.renderer.append(outcome, with: verdict(outcome), to: &body)
    let members = try object(body)
    for (name, value) in try object(plain) {
      #expect(members[name].map { Array($0.raw) } == Array(value.raw), "\(name)")
    }
    #expect(members["verified"].map { text($0.raw) } == "true")
    #expect(members["serverSeed"]?.string == Self.secret.ascii)
    #expect(members["items"].map { text($0.raw) } == outcome.items.map { "[\(text($0))]" })
    #expect((members["notation"] != nil) == (outcome.endpoint == .dice))
  }

  // MARK: Names of commitments

  @Test func commitmentsAreNamedByUUIDs() throws {
    var entropy = SplitMix64(state: 1)
    let group = (0..<100).map { _ in Submission(caller: .anonymous, operation: .commit) }
    let snapshot = Snapshot(now: newYear, nextOutcome: 1, nextChain: 1)
    let ids = decider.decide(group, snapshot: snapshot, entropy: &entropy).changes.newCommitments.map(\.id)
    #expect(Set(ids).count == 100)
    for id in ids {
      let text = id.description
      #expect(text.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
      #expect(CommitID(text) == id && CommitID(text.uppercased()) == id)
    }
    let good = ids[0].description
    for bad in [
      "", "x", good + "0", String(good.dropLast()), " " + good, good + " ", "{\(good)}", good.replacing("-", with: ""),
      good.replacing("-", with: "_"), "urn:uuid:" + good, String(good.dropLast()) + "g",
    ] {
      #expect(CommitID(bad) == nil, "\(bad)")
    }
  }
}
