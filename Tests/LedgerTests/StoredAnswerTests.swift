import Fairness
import JSON
import Ledger
import LedgerSimulation
import Testing

@Suite struct StoredAnswerTests {
  private let live = Caller.live(1, account: 1)
  private let rendering = Rendering(format: 1, publicURL: "https://draw.example")

  private func items(_ count: Int, _ length: Int) -> ItemList {
    ItemList(0..<count) { number, text in
      text += bytes("\"\(number) \(String(repeating: "x", count: length))\"")
    }
  }

  private func shuffle(_ items: ItemList) -> DrawRequest {
    DrawRequest(clientSeed: seed("test"), generator: .shuffle(items: items.count), items: items)
  }

  private func decide(_ submissions: Submission...) -> (replies: [Reply], changes: Changes) {
    var ledger = MemoryLedger()
    ledger.addAccount(1, dailyQuota: 1000)
    ledger.addKey(1, account: 1)
    var entropy = SplitMix64(state: 1)
    let decision = decider.decide(
      submissions, snapshot: ledger.snapshot(Needs(of: submissions), now: newYear), entropy: &entropy)
    return (decision.replies, decision.changes)
  }

  private func decide(_ operation: Ledger.Operation) -> (reply: Reply, changes: Changes) {
    let (replies, changes) = decide(Submission(caller: live, claim: live.claim("k"), operation: operation))
    return (replies[0], changes)
  }

  /// Outcomes as a store's columns give them back, by their numbers.
  private func stored(_ changes: Changes) throws -> [Int64: Outcome] {
    var outcomes: [Int64: Outcome] = [:]
    for outcome in changes.outcomes {
      outcomes[outcome.id] = try Outcome(
        id: outcome.id, chain: outcome.chain, epoch: Int64(outcome.epoch), cursor: outcome.cursor,
        nonce: outcome.nonce, endpoint: Int64(outcome.endpoint.rawValue), stored: outcome.stored,
        fields: outcome.fields, items: outcome.items, created: outcome.created,
        clientSeed: outcome.clientSeed.bytes, serverHash: outcome.serverHash.bytes, mode: outcome.mode)
    }
    return outcomes
  }

  private func again(
    _ kept: [UInt8], _ status: Int = 200, with outcomes: [Int64: Outcome] = [:], _ rendering: Rendering? = nil
  ) throws -> Reply {
    try StoredAnswer(kept).reply(status: status, with: outcomes, rendering ?? self.rendering, shortIDs)
  }

  @Test func oneOutcomeIsKeptInAFewBytes() throws {
    for request in [DrawRequest.ints("test", count: 100), .ints("é\"\u{1}"), shuffle(items(100, 200))] {
      let (reply, changes) = decide(.draw(request))
      let kept = StoredAnswer.bytes(of: reply, rendering: 1)
      #expect(kept.count == 8)
      let answer = try StoredAnswer(kept)
      #expect(answer.rendering == 1 && answer.outcomes == changes.outcomes.map(\.id))
      let told = try again(kept, with: stored(changes))
      #expect(told.body == reply.body && told.shortID == reply.shortID)
    }
  }

  @Test func aBatchKeepsWhatItsOutcomesDoNotSay() throws {
    let pick = DrawRequest(clientSeed: seed("test"), generator: .pick(items: 3, weights: nil), items: items(3, 2000))
    let entries: [BatchEntry] = [
      .draw(.ints("a")), .draw(shuffle(items(50, 100)), id: bytes("é\"1")), .refused(.badRequest("no"), id: bytes("2")),
      .draw(pick), .draw(.ints("b")), .draw(DrawRequest(clientSeed: seed("c"), generator: .bytes(count: 1024))),
      .refused(.badRequest("nor this")),
    ]
    for entries in [entries, Array(entries.reversed()), Array(repeating: .draw(.ints("a")), count: 50), [entries[2]]] {
      let (reply, changes) = decide(.batch(entries))
      let kept = StoredAnswer.bytes(of: reply, rendering: 300)
      #expect(kept.count < 300, "\(entries.count) entries take \(kept.count) bytes")
      let told = try again(kept, with: stored(changes))
      #expect(told.body == reply.body && told.shortID == nil)
      #expect(try object(told.body)["results"]?.elements()?.count == entries.count)
    }
    let (whole, _) = decide(.batch(Array(repeating: .draw(.ints("a")), count: 50)))
    #expect(StoredAnswer.bytes(of: whole, rendering: 1).count < 120)
  }

  @Test func otherAnswersAreKeptWhole() throws {
    for operation in [
      Ledger.Operation.commit, .seed(seed("test")), .refuse(.badRequest(String(repeating: "no", count: 1000))),
      .batch([.refused(.badRequest("no"))]),
    ] {
      let (reply, _) = decide(operation)
      let kept = StoredAnswer.bytes(of: reply, rendering: 1)
      #expect(kept == [0] + reply.body)
      #expect(try again(kept, reply.status) == reply || reply.retryAfter != nil)
      #expect(try StoredAnswer(kept).rendering == nil && StoredAnswer(kept).outcomes.isEmpty)
    }
  }

  /// Another answer than the first is never given: what does not give the same bytes is a fault.
  @Test func whatHasChangedIsAFault() throws {
    let (reply, changes) = decide(.batch([.draw(.ints("a")), .draw(.ints("b")), .draw(shuffle(items(3, 3)))]))
    let kept = StoredAnswer.bytes(of: reply, rendering: 1)
    let outcomes = try stored(changes)
    #expect(try again(kept, with: outcomes).body == reply.body)
    for number in outcomes.keys {
      var fewer = outcomes
      fewer[number] = nil
      #expect(throws: StoreFailure.self) { try again(kept, with: fewer) }
    }
    let ids = outcomes.keys.sorted()
    var exchanged = outcomes
    (exchanged[ids[0]], exchanged[ids[1]]) = (outcomes[ids[1]], outcomes[ids[0]])
    #expect(throws: StoreFailure.self) { try again(kept, with: exchanged) }
    #expect(throws: StoreFailure.self) {
      try again(kept, with: outcomes, Rendering(format: 1, publicURL: "https://elsewhere.example"))
    }
    #expect(throws: StoreFailure.self) { try again(kept, with: outcomes, Rendering(format: 2, publicURL: "")) }
    #expect(throws: StoreFailure.self) {
      try StoredAnswer(kept).reply(status: 200, with: outcomes, nil, shortIDs)
    }
  }

  @Test func damagedBytesAreAFaultOrTheSame() throws {
    let (reply, changes) = decide(.batch([.draw(.ints("a")), .refused(.badRequest("no")), .draw(.ints("b"))]))
    let kept = StoredAnswer.bytes(of: reply, rendering: 1)
    let outcomes = try stored(changes)
    #expect(throws: StoreFailure.self) { try again([]) }
    for length in 1..<kept.count {
      #expect(throws: StoreFailure.self) { try again(Array(kept.prefix(length)), with: outcomes) }
    }
    var random = SplitMix64(state: announcedSeed())
    for _ in 0..<5000 {
      var damaged = kept
      let place = random.int(0...kept.count - 1)
      damaged[place] = UInt8.random(in: 0...255, using: &random)
      guard place > 0 else { continue }  // the rendering's number has no check of its own, and is looked up
      if let told = try? again(damaged, with: outcomes) { #expect(told.body == reply.body) }
    }
    for _ in 0..<5000 { _ = try? StoredAnswer(random.bytes(random.int(0...40))) }
  }

  // MARK: Values

  /// Items come back digit for digit, in every order.
  @Test(arguments: [
    ["1.50", "1e2", "-0", "0.1000"], ["\"\\u00e9\\n\"", "\"é\"", "\"a,b\"", "[1,[2,{\"a\" :3}]]"],
    ["{}", "null", "[]"], ["1"],
  ])
  func valuesAreRebuilt(spelled: [String]) throws {
    let list = ItemList(json: spelled)
    let pick = DrawRequest(clientSeed: seed("test"), generator: .pick(items: list.count, weights: nil), items: list)
    let entries = (0..<20).flatMap { _ in [BatchEntry.draw(shuffle(list)), .draw(pick)] }
    let (_, changes) = decide(.batch(entries))
    #expect(changes.outcomes.count == 40)
    let outcomes = try stored(changes)
    for outcome in changes.outcomes {
      #expect(outcome.stored.count == (outcome.endpoint == .pick ? 0 : 2 * list.count))
      #expect(outcomes[outcome.id]?.value == outcome.value)
    }
  }

  @Test func damagedColumnsGiveNoValue() {
    let text = bytes("1,2,3")
    func value(_ stored: [UInt8], _ items: [UInt8]?, _ endpoint: Endpoint = .shuffle, fields: String = "\"index\":1")
      -> [UInt8]?
    {
      StoredValue.value(of: endpoint, stored, fields: bytes(fields), items: items)
    }
    #expect(value([0, 2, 0, 0, 0, 1], text) == bytes("[3,1,2]"))
    #expect(value([0, 2, 0, 0, 0, 3], text) == nil && value([0, 2, 0, 0], text) == nil && value([], text) == nil)
    #expect(
      value([0, 2, 0, 0, 0, 1], nil) == nil && value([0, 0], bytes("1,")) == nil)
    #expect(value([], text, .pick) == bytes("2"))
    for fields in ["", "\"index\":3", "\"index\":-1", "\"index\":1.5", "\"index\":\"1\"", "{"] {
      #expect(value([], text, .pick, fields: fields) == nil)
    }
  }
}
