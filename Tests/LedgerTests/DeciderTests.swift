import Fairness
import JSON
import Ledger
import LedgerSimulation
import Testing

/// The rules one by one; ``SimulationTests`` has them all at once.
@Suite struct DeciderTests {
  private var server = Server()
  private let live = Caller.live(1, account: 1)
  private let test = Caller.test(3, account: 1)

  private func draw(_ caller: Caller, _ clientSeed: String = "test", _ claim: IdempotencyClaim? = nil) -> Submission {
    Submission(caller: caller, claim: claim, operation: .draw(.ints(clientSeed)))
  }

  private func refusal(_ reply: Reply) throws -> String {
    "\(reply.status) \(try object(reply.body)["code"]?.string.map { text($0) } ?? "-")"
  }

  // MARK: Chains

  @Test mutating func chainsBelongToOneAccountAndOneSpelling() throws {
    let callers: [Caller] = [.anonymous, live, .live(4, account: 2)]
    for caller in callers {
      for clientSeed in ["é", "e\u{301}"] {
        let first = try object(server.answer(Submission(caller: caller, operation: .seed(seed(clientSeed)))).body)
        let drawn = try object(server.answer(draw(caller, clientSeed)).body)
        #expect(drawn["serverHash"]?.string == first["serverHash"]?.string)
        #expect(drawn["nonce"]?.number == "0" && drawn["cursor"]?.number == "0")
        if caller != .anonymous { server.now += day }
      }
    }
    #expect(server.ledger.chains.count == 6)
    #expect(server.ledger.audit() == [])
  }

  @Test mutating func allKeysOfAnAccountShareItsChains() throws {
    for (nonce, caller) in [live, .live(2, account: 1), .holder(AccountID(1))].enumerated() {
      #expect(try object(server.answer(draw(caller)).body)["nonce"]?.number == "\(nonce)")
    }
    #expect(server.ledger.chains.count == 1)
    #expect(server.answer(Submission(caller: .holder(AccountID(1)), operation: .rotate(seed("test")))).status == 200)
    #expect(server.answer(Submission(caller: .holder(AccountID(9)), operation: .rotate(seed("test")))).status == 401)
    #expect(server.ledger.audit() == [])
  }

  @Test mutating func aGroupSeesItself() throws {
    let move = Submission(caller: .anonymous, operation: .incrementCursor(seed("test")))
    let (replies, changes) = server.decide(draw(.anonymous), move, draw(.anonymous), draw(.anonymous, "other"))
    let positions = try replies.map { reply in
      let body = try object(reply.body)
      return "\(body["cursor"]?.number ?? "?"):\(body["nonce"]?.number ?? "?")"
    }
    #expect(positions == ["0:0", "1:1", "1:1", "0:0"])
    #expect(changes.newChains.map(\.nonce) == [2, 1] && changes.movedChains.isEmpty)
  }

  @Test mutating func aChainThatIsNotThereHasNoCursor() throws {
    let (replies, changes) = server.decide(Submission(caller: live, operation: .incrementCursor(seed("test"))))
    #expect(try refusal(replies[0]) == "400 invalid_parameter")
    #expect(changes.isEmpty)
  }

  // MARK: Rotation

  private func rotate(_ caller: Caller, _ claim: IdempotencyClaim? = nil) -> Submission {
    Submission(caller: caller, claim: claim, operation: .rotate(seed("test")))
  }

  @Test mutating func whatHasNoOutcomeIsNotRotated() throws {
    #expect(try refusal(server.answer(rotate(live))) == "404 nothing_to_rotate")
    _ = server.answer(Submission(caller: live, operation: .seed(seed("test"))))
    _ = server.answer(Submission(caller: live, operation: .incrementCursor(seed("test"))))
    let (replies, changes) = server.decide(rotate(live), rotate(test), rotate(.live(2, account: 1)))
    #expect(try replies.map(refusal) == ["404 nothing_to_rotate", "403 test_mode_forbidden", "404 nothing_to_rotate"])
    #expect(changes.isEmpty)
  }

  @Test mutating func aRotationTellsOneSeedAndPromisesTheNext() throws {
    var promised = try object(server.answer(Submission(caller: live, operation: .seed(seed("test")))).body)
    _ = server.answer(draw(live))
    for nonce in 1...2 {
      let answer = server.answer(rotate(live)).body
      let report = OutcomeReport(checking: try JSONText(answer).root, seedKey: chainSeeds.publicKey)
      #expect(report.isVerified && report.provenBy == chainSeeds.publicKey)
      let body = try object(answer)
      let revealed = try object(Array(try #require(body["revealed"]).raw))
      let next = try object(Array(try #require(body["next"]).raw))
      #expect(revealed["serverHash"]?.string == promised["serverHash"]?.string)
      #expect(try ServerSeed(hex: revealed["serverSeed"]?.string ?? []).hash.hex == revealed["serverHash"]?.string)
      #expect(revealed["nonce"]?.number == "\(nonce)" && next["nonce"]?.number == "\(nonce)")
      #expect(next["rotatedAt"]?.number == "\(server.now)")
      #expect(next["serverHash"]?.string != revealed["serverHash"]?.string)
      let drawn = try object(server.answer(draw(live)).body)
      #expect(drawn["serverHash"]?.string == next["serverHash"]?.string && drawn["nonce"]?.number == "\(nonce)")
      promised = next
    }
    #expect(server.ledger.audit() == [])
  }

  @Test mutating func aGroupRotatesInItsOrder() throws {
    let (replies, changes) = server.decide(draw(live), rotate(live), draw(live), rotate(live), draw(live), rotate(test))
    #expect(replies.map(\.status) == [200, 200, 200, 200, 200, 403])
    #expect(changes.outcomes.map(\.epoch) == [0, 1, 2] && changes.outcomes.map(\.nonce) == [0, 1, 2])
    #expect(changes.revealedSeeds.map(\.nonce) == [1, 2])
    #expect(changes.outcomes.map(\.serverHash).prefix(2) == changes.revealedSeeds.map(\.hash)[...])
    #expect(changes.newChains.map(\.epoch) == [2] && changes.rotatedChains.isEmpty && changes.movedChains.isEmpty)
    let later = server.decide(rotate(live), rotate(live, live.claim("again")), rotate(live, live.claim("again")))
    #expect(later.changes.rotatedChains.map(\.epoch) == [4] && later.changes.movedChains.isEmpty)
    #expect(later.replies.map(\.isReplay) == [false, false, true])
    #expect(server.ledger.audit() == [])
  }

  // MARK: Commit and reveal

  private mutating func commit(_ caller: Caller) -> CommitID {
    server.decide(Submission(caller: caller, operation: .commit)).changes.newCommitments[0].id
  }

  private func reveal(
    _ caller: Caller, _ id: CommitID, _ claim: IdempotencyClaim? = nil, _ clientSeed: String = "test"
  ) -> Submission {
    Submission(caller: caller, claim: claim, operation: .reveal(id, .ints(clientSeed)))
  }

  @Test mutating func aCommitmentIsItsOwners() throws {
    let callers: [Caller] = [.anonymous, live, .live(4, account: 2), test]
    for owner in callers {
      let id = commit(owner)
      for caller in callers where caller != owner {
        let (replies, changes) = server.decide(reveal(caller, id))
        #expect(try refusal(replies[0]) == "403 commitment_not_yours" && changes.isEmpty)
      }
      // Whichever of the account's keys made it.
      let revealing = owner == live ? Caller.live(2, account: 1) : owner
      #expect(server.answer(reveal(revealing, id)).status == 200)
      #expect(try refusal(server.answer(reveal(owner, id))) == "409 commitment_used")
    }
    #expect(server.ledger.audit() == [])
  }

  @Test mutating func aCommitmentLivesForItsTime() throws {
    let first = commit(live)
    let second = commit(live)
    server.now += 599_999
    #expect(server.answer(reveal(live, first)).status == 200)
    server.now += 1
    // Used before it expired: that is the better answer.
    let (replies, changes) = server.decide(reveal(live, first), reveal(live, second))
    #expect(try replies.map(refusal) == ["409 commitment_used", "410 commitment_expired"])
    #expect(changes.isEmpty)
    let unknown = CommitID(bytes: Array(repeating: 1, count: 16))
    #expect(try refusal(server.answer(reveal(live, unknown))) == "404 unknown_commitment")
  }

  @Test mutating func aCommitmentWaitsForTheQuota() throws {
    server.now = newYear - 1000
    let id = commit(live)
    for _ in 0..<3 { _ = server.answer(draw(live)) }
    let late = reveal(live, id, live.claim("late"))
    #expect(try refusal(server.answer(late)) == "429 quota_exceeded")
    server.now = newYear
    let (replies, changes) = server.decide(late, late)
    #expect(replies.map(\.status) == [200, 200] && replies.map(\.isReplay) == [false, true])
    #expect(changes.usage == [UsageKey(account: AccountID(1), day: Day(of: newYear), endpoint: .ints): 1])
    #expect(server.ledger.audit() == [])
  }

  @Test mutating func ofManyRevealsInAGroupTheFirstCounts() throws {
    let id = commit(live)
    let (replies, changes) = server.decide(reveal(live, id, nil, "a"), reveal(live, id, nil, "b"), draw(live, "a"))
    #expect(try replies.map(refusal) == ["200 -", "409 commitment_used", "200 -"])
    #expect(changes.outcomes.map(\.nonce) == [0, 0] && Set(changes.outcomes.map(\.chain)).count == 2)
    #expect(changes.usedCommitments.map(\.id) == [id] && changes.newChains.count == 2)
    let members = try object(replies[0].body)
    #expect(members["serverSeed"]?.string == changes.revealedSeeds[0].seed.ascii)
    #expect(members["commitId"]?.string == bytes(id.description))
  }

  @Test mutating func testCommitmentsAreFree() throws {
    for _ in 0..<3 { _ = server.answer(draw(live)) }
    let id = commit(test)
    let (replies, changes) = server.decide(reveal(test, id))
    let members = try object(replies[0].body)
    #expect(members["mode"]?.string == bytes("test"))
    #expect(changes.testOutcomes.map(\.outcome.nonce) == [0] && changes.outcomes.isEmpty && changes.newChains.isEmpty)
    #expect(changes.usage.isEmpty && changes.revealedSeeds.isEmpty)
    let seed = decider.testSeeds.seed(account: AccountID(1), commitment: id).seed
    #expect(members["serverSeed"]?.string == seed.ascii)
  }

  // MARK: Quota

  @Test mutating func theQuotaEndsAtMidnight() throws {
    server.now = newYear - 1500
    for _ in 0..<3 { #expect(server.answer(draw(live)).status == 200) }
    let (replies, changes) = server.decide(draw(live), draw(.live(2, account: 1), "other"), draw(.anonymous))
    #expect(try replies.map(refusal) == ["429 quota_exceeded", "429 quota_exceeded", "200 -"])
    #expect(replies[0].retryAfter == 2)
    #expect(try object(replies[0].body)["retryAfter"]?.number == "2")
    #expect(changes.outcomes.count == 1 && changes.newChains.count == 1)
    server.now = newYear
    #expect(server.answer(draw(live)).status == 200)
    #expect(server.ledger.audit() == [])
  }

  @Test mutating func aBatchStopsAtTheQuota() throws {
    let batch = Submission(
      caller: live, claim: live.claim("a"),
      operation: .batch(
        [.refused(.badRequest("items required"))] + (0..<4).map { _ in .draw(.ints("test")) } + [
          .refused(.badRequest("items required"))
        ]))
    let (replies, changes) = server.decide(batch)
    let results = try #require(object(replies[0].body)["results"]?.elements())
    let codes = try results.map { result in
      let members = try object(Array(result.raw))
      return members["ok"].map { text($0.raw) }! + (members["code"]?.string.map { " " + text($0) } ?? "")
    }
    #expect(codes == ["false invalid_request", "true", "true", "true", "false quota_exceeded", "false quota_exceeded"])
    #expect(changes.outcomes.map(\.nonce) == [0, 1, 2])
    #expect(changes.usage == [UsageKey(account: AccountID(1), day: Day(of: newYear), endpoint: .ints): 3])
    // The whole answer is kept, failures included, and is no new draw tomorrow morning.
    server.now += day - 1
    #expect(server.answer(batch).body == replies[0].body)
    #expect(server.ledger.outcomes.count == 3)
  }

  @Test mutating func theServersQuotaHoldsForAccountsWithoutOne() {
    server.ledger.addAccount(1, dailyQuota: nil)
    let small = Decider(masterKey: masterKey, seeds: chainSeeds, publicURL: "", defaultDailyQuota: 2)
    let group = (0..<3).map { _ in draw(live) }
    let snapshot = server.ledger.snapshot(Needs(of: group), now: newYear)
    #expect(small.decide(group, snapshot: snapshot, entropy: &server.entropy).replies.map(\.status) == [200, 200, 429])
  }

  // MARK: Without a key

  private mutating func decide(_ group: [Submission], anonymousQuota: Int) -> Decision {
    let decider = Decider(
      masterKey: masterKey, seeds: chainSeeds, publicURL: "", defaultDailyQuota: 1000,
      anonymousDailyQuota: anonymousQuota)
    let needs = Needs(of: group, countsAnonymous: true)
    let decision = decider.decide(
      group, snapshot: server.ledger.snapshot(needs, now: server.now), entropy: &server.entropy)
    server.ledger.apply(decision.changes)
    return decision
  }

  @Test mutating func withoutAKeyNothingChangesWhereThatIsOff() throws {
    let id = try #require(CommitID("3f2b8c1e-6a0d-4e7b-9c55-0d1f6a2e8b47"))
    let operations: [Operation] = [
      .draw(.ints("test")), .batch([.draw(.ints("test")), .refused(.badRequest("no"))]), .seed(seed("test")),
      .incrementCursor(seed("test")), .rotate(seed("test")), .commit, .reveal(id, .ints("test")),
    ]
    let decision = decide(operations.map { Submission(caller: .anonymous, operation: $0) }, anonymousQuota: 0)
    for reply in decision.replies { #expect(try refusal(reply) == "403 api_key_required") }
    #expect(decision.changes.isEmpty)
    #expect(decide([draw(live)], anonymousQuota: 0).replies[0].status == 200)
  }

  @Test mutating func withoutAKeyThereIsAQuotaForAll() throws {
    let batch = Submission(
      caller: .anonymous, operation: .batch([.draw(.ints("b")), .refused(.badRequest("no")), .draw(.ints("c"))]))
    #expect(
      decide([draw(.anonymous), draw(live), draw(.anonymous, "other")], anonymousQuota: 3).changes.outcomes.count == 3)
    let decision = decide([batch, draw(.anonymous), draw(live)], anonymousQuota: 3)
    let replies = decision.replies
    #expect(decision.changes.outcomes.count == 2)
    // One draw, and then the quota is spent, for bad entries too.
    #expect(text(replies[0].body).split(separator: #""code":"quota_exceeded""#).count == 3)
    #expect(try refusal(replies[1]) == "429 quota_exceeded" && replies[1].retryAfter == 86_400)
    #expect(replies[2].status == 200)
    // A seed may still be asked for, and tomorrow is another day.
    let seedAsked = Submission(caller: .anonymous, operation: .seed(seed("test")))
    #expect(decide([seedAsked], anonymousQuota: 3).replies[0].status == 200)
    server.now += day
    #expect(decide([draw(.anonymous)], anonymousQuota: 3).replies[0].status == 200)
  }

  @Test mutating func whatWritesWithoutCostSaysSo() {
    func writes(_ caller: Caller, _ operation: Operation, _ claim: IdempotencyClaim? = nil) -> Bool {
      server.answer(Submission(caller: caller, claim: claim, operation: operation)).wroteWithoutCost
    }
    #expect(writes(live, .seed(seed("test"))) && !writes(live, .seed(seed("test"))))
    #expect(!writes(live, .draw(.ints("test"))) && !writes(live, .draw(.ints("new"))))
    #expect(writes(live, .incrementCursor(seed("test"))) && !writes(live, .incrementCursor(seed("none"))))
    #expect(writes(live, .rotate(seed("test"))) && !writes(live, .rotate(seed("none"))))
    #expect(writes(live, .commit))
    #expect(!writes(live, .refuse(.badRequest("no"))))
    // Kept refusals, and their replays, which write nothing.
    #expect(
      writes(live, .refuse(.badRequest("no")), live.claim("a"))
        && !writes(live, .refuse(.badRequest("no")), live.claim("a")))
    #expect(writes(live, .rotate(seed("none")), live.claim("b")))
    #expect(
      writes(live, .batch([.refused(.badRequest("no"))]), live.claim("c"))
        && !writes(live, .batch([.refused(.badRequest("no"))])))
    // A draw pays for what is stored with it.
    #expect(!writes(live, .batch([.refused(.badRequest("no")), .draw(.ints("test"))]), live.claim("d")))
    // Now the quota is spent: a refused draw is not kept, a batch is.
    #expect(!writes(live, .draw(.ints("test")), live.claim("e")))
    #expect(writes(live, .batch([.draw(.ints("test"))]), live.claim("f")))
  }

  // MARK: Idempotency

  @Test mutating func aKeyIsForOneRequest() throws {
    let claim = live.claim("a", fingerprint: [1])
    let first = server.answer(draw(live, "test", claim))
    // The same key of the account is the same claim, whoever holds it; the other mode's is another.
    let (replies, changes) = server.decide(
      draw(live, "test", claim), draw(.live(2, account: 1), "test", claim),
      draw(live, "test", live.claim("a", fingerprint: [2])), draw(live, "test", live.claim("A", fingerprint: [1])),
      draw(test, "test", test.claim("a", fingerprint: [3])))
    #expect(replies[0] == Reply(status: 200, body: first.body, shortID: first.shortID, isReplay: true))
    #expect(replies[1] == replies[0])
    #expect(try refusal(replies[2]) == "409 idempotency_replay")
    #expect(replies[3].status == 200 && replies[3].body != first.body)
    #expect(replies[4].status == 200 && !replies[4].isReplay)
    #expect(changes.outcomes.count == 1 && changes.testOutcomes.count == 1 && changes.records.count == 2)
  }

  @Test mutating func twiceInAGroupIsOnce() {
    let submission = draw(live, "test", live.claim("a"))
    let (replies, changes) = server.decide(submission, submission, submission)
    #expect(replies.map(\.isReplay) == [false, true, true])
    #expect(Set(replies.map(\.body)).count == 1)
    #expect(changes.outcomes.count == 1 && changes.records.count == 1)
  }

  @Test mutating func refusalsAreKeptUnlessARetryMayDoBetter() throws {
    // 400: kept.
    let bad = Submission(caller: live, claim: live.claim("bad"), operation: .refuse(.badRequest("items required")))
    #expect(server.answer(bad).isReplay == false)
    let again = server.answer(bad)
    #expect(again.isReplay && text(again.body) == #"{"error":"items required","code":"invalid_request"}"#)
    // 429: not kept; tomorrow it runs.
    for _ in 0..<3 { _ = server.answer(draw(live)) }
    let late = draw(live, "test", live.claim("late"))
    #expect(try refusal(server.answer(late)) == "429 quota_exceeded")
    server.now += day
    #expect(server.answer(late).status == 200)
    // 403: not kept.
    let forbidden = Submission(caller: test, claim: test.claim("move"), operation: .incrementCursor(seed("test")))
    #expect(try refusal(server.answer(forbidden)) == "403 test_mode_forbidden")
    #expect(server.answer(forbidden).isReplay == false)
    // 401: not even what was kept is said again.
    server.ledger.liveKeys.remove(KeyID(1))
    let (replies, changes) = server.decide(bad, late, draw(live))
    #expect(try replies.map(refusal) == Array(repeating: "401 invalid_api_key", count: 3))
    #expect(changes.isEmpty)
  }

  @Test mutating func anAnswerIsKeptForSevenDays() {
    let submission = draw(live, "test", live.claim("a"))
    let first = server.answer(submission)
    server.now += 7 * day - 1
    #expect(server.answer(submission).body == first.body)
    server.now += 1
    let second = server.answer(submission)
    #expect(!second.isReplay && second.body != first.body)
    server.now += 7 * day - 1
    #expect(server.answer(submission).body == second.body)
  }

  // MARK: Test mode

  @Test mutating func rehearsalsAreRepeatableAndFree() throws {
    let first = server.answer(draw(test))
    server.now += 3 * day
    let (replies, changes) = server.decide(draw(test), draw(test), draw(.test(9, account: 1)))
    #expect(replies[0].body == first.body && replies[1].body == first.body)
    #expect(try refusal(replies[2]) == "401 invalid_api_key")
    #expect(changes.isEmpty)
    let members = try object(first.body)
    #expect(members["mode"]?.string == bytes("test"))
    #expect(members["cursor"]?.number == "0" && members["nonce"]?.number == "0")
    #expect(members["created"]?.number == "\(newYear)")
    #expect(server.ledger.usage.isEmpty && server.ledger.chains.isEmpty)

    let commitment = try object(server.answer(Submission(caller: test, operation: .seed(seed("test")))).body)
    #expect(commitment["serverHash"]?.string == members["serverHash"]?.string)
    // Other parameters, another outcome of the same seed.
    let other = Submission(caller: test, operation: .draw(.ints("test", count: 2)))
    #expect(try object(server.answer(other).body)["serverHash"]?.string == members["serverHash"]?.string)
    #expect(server.ledger.testOutcomes.count == 2)
  }

  @Test mutating func parametersTellRehearsalsApart() throws {
    let items = ItemList(json: ["1", "2", "3"])
    let requests = [
      DrawRequest.ints("test"), .ints("test", count: 2), .ints("test:", count: 1), .ints("tes", count: 1),
      DrawRequest(clientSeed: seed("test"), generator: .ints(count: 1, min: 1, max: 101)),
      DrawRequest(clientSeed: seed("test"), generator: .floats(count: 1)),
      DrawRequest(clientSeed: seed("test"), generator: .bytes(count: 1)),
      DrawRequest(clientSeed: seed("test"), generator: .bytes(count: 1, encoding: .base64)),
      DrawRequest(clientSeed: seed("test"), generator: .dice(try DiceNotation("1d6"))),
      DrawRequest(clientSeed: seed("test"), generator: .dice(try DiceNotation("1d6+1"))),
      DrawRequest(clientSeed: seed("test"), generator: .shuffle(items: 3), items: items),
      DrawRequest(clientSeed: seed("test"), generator: .shuffle(items: 3), items: ItemList(json: ["1", "3", "2"])),
      DrawRequest(clientSeed: seed("test"), generator: .shuffle(items: 3), items: ItemList(json: ["1", "2", "3.0"])),
      DrawRequest(clientSeed: seed("test"), generator: .pick(items: 3, weights: nil), items: items),
      DrawRequest(clientSeed: seed("test"), generator: .pick(items: 3, weights: [1, 1, 1]), items: items),
      DrawRequest(clientSeed: seed("test"), generator: .gaussian(count: 1, .exponential(lambda: 2))),
      DrawRequest(clientSeed: seed("test"), generator: .gaussian(count: 1, .poisson(lambda: 2))),
    ]
    for request in requests { _ = server.answer(Submission(caller: test, operation: .draw(request))) }
    #expect(server.ledger.testOutcomes.count == requests.count)
    let ids = requests.map { Needs(of: [Submission(caller: test, operation: .draw($0))]).testDraws }
    #expect(Set(ids).count == requests.count)
  }

  // MARK: Needs

  @Test func needsNameWhatAGroupTouches() {
    let needs = Needs(of: [
      draw(.anonymous, "a"), draw(live, "a", live.claim("k")), draw(test, "a", test.claim("k")),
      Submission(caller: live, operation: .batch([.draw(.ints("b")), .refused(.badRequest("no")), .draw(.ints("b"))])),
      Submission(caller: live, operation: .seed(seed("c"))),
      Submission(caller: test, operation: .seed(seed("d"))),
      Submission(caller: .live(2, account: 1), operation: .incrementCursor(seed("e"))),
      Submission(caller: .live(2, account: 1), operation: .refuse(.badRequest("no"))),
      Submission(caller: live, operation: .rotate(seed("f"))), Submission(caller: test, operation: .rotate(seed("g"))),
      Submission(caller: live, operation: .commit), Submission(caller: test, operation: .commit),
      reveal(live, CommitID(bytes: Array(1...16)), nil, "h"), reveal(test, CommitID(bytes: Array(2...17)), nil, "h"),
    ])
    func chain(_ owner: Int64, _ clientSeed: String) -> ChainKey {
      ChainKey(owner: ChainOwner(owner), clientSeed: seed(clientSeed))
    }
    #expect(needs.keys == [KeyID(1), KeyID(2), KeyID(3)])
    #expect(needs.accounts == [AccountID(1)])
    #expect(needs.chains == [chain(0, "a"), chain(1, "a"), chain(1, "b"), chain(1, "c"), chain(1, "e"), chain(1, "f")])
    #expect(needs.commitments == [CommitID(bytes: Array(1...16)), CommitID(bytes: Array(2...17))])
    #expect(needs.newChains == 6 + 2)
    #expect(Set(needs.claims.keys) == [live.claim("k").scope, test.claim("k").scope])
    #expect(needs.testDraws.count == 1)
    #expect(needs.outcomes == 7)
  }
}
