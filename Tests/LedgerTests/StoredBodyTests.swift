import Fairness
import JSON
import Ledger
import LedgerSimulation
import Testing

@Suite struct StoredBodyTests {
  private let live = Caller.live(1, account: 1)

  private func items(_ count: Int, _ length: Int) -> ItemList {
    ItemList(0..<count) { number, text in
      text += bytes("\"\(number) \(String(repeating: "x", count: length))\"")
    }
  }

  private func shuffle(_ items: ItemList) -> DrawRequest {
    DrawRequest(clientSeed: seed("test"), generator: .shuffle(items: items.count), items: items)
  }

  private func decide(_ submission: Submission) -> (reply: Reply, changes: Changes) {
    var ledger = MemoryLedger()
    ledger.addAccount(1, dailyQuota: 1000)
    ledger.addKey(1, account: 1)
    var entropy = SplitMix64(state: 1)
    let decision = decider.decide(
      [submission], snapshot: ledger.snapshot(Needs(of: [submission]), now: newYear), entropy: &entropy)
    return (decision.replies[0], decision.changes)
  }

  /// What stores do: the value of each outcome from its columns.
  private func values(_ outcomes: [Outcome]) -> [Int64: [UInt8]] {
    var values: [Int64: [UInt8]] = [:]
    for outcome in outcomes {
      values[outcome.id] = StoredValue.value(
        of: Int64(outcome.endpoint.rawValue), outcome.stored, fields: outcome.fields, items: outcome.items)
    }
    return values
  }

  @Test func aLargeShuffleIsInItsAnswerByReference() throws {
    let (reply, changes) = decide(
      Submission(caller: live, claim: live.claim("k"), operation: .draw(shuffle(items(100, 200)))))
    let stored = StoredBody(reply)
    #expect(stored.outcomes == changes.outcomes.map(\.id) && stored.rest.count < 500)
    #expect(changes.outcomes[0].stored.count == 200)
    #expect(try stored.body(with: values(changes.outcomes)) == reply.body)
    // As a store has it.
    let loaded = StoredBody(rest: stored.rest, parts: stored.parts)
    #expect(try loaded.body(with: values(changes.outcomes)) == reply.body)
    #expect(throws: StoreFailure.self) { try loaded.body(with: [:]) }
    #expect(throws: StoreFailure.self) { try loaded.body(with: [stored.outcomes[0]: bytes("[1]")]) }
  }

  @Test func smallAnswersAreKeptWhole() {
    for operation in [
      Operation.draw(.ints("test", count: 100)), .draw(shuffle(items(10, 5))), .commit, .seed(seed("test")),
      .refuse(.badRequest(String(repeating: "no", count: 1000))),
    ] {
      let (reply, _) = decide(Submission(caller: live, claim: live.claim("k"), operation: operation))
      #expect(StoredBody(reply) == StoredBody(rest: reply.body, parts: nil))
    }
  }

  @Test func aBatchRefersToItsLargeOutcomesAndKeepsTheRest() throws {
    let pick = DrawRequest(
      clientSeed: seed("test"), generator: .pick(items: 3, weights: nil), items: items(3, 2000))
    let entries: [BatchEntry] = [
      .draw(.ints("a")), .draw(shuffle(items(50, 100))), .refused(.badRequest("no")), .draw(pick), .draw(.ints("b")),
      .draw(DrawRequest(clientSeed: seed("c"), generator: .bytes(count: 1024))),
    ]
    let (reply, changes) = decide(Submission(caller: live, claim: live.claim("k"), operation: .batch(entries)))
    let stored = StoredBody(reply)
    #expect(stored.outcomes.count == 3)
    #expect(try stored.body(with: values(changes.outcomes)) == reply.body)
    #expect(try object(reply.body)["results"]?.elements()?.count == 6)
  }

  /// Items come back digit for digit, in every order.
  @Test(arguments: [
    ["1.50", "1e2", "-0", "0.1000"], ["\"\\u00e9\\n\"", "\"é\"", "\"a,b\"", "[1,[2,{\"a\" :3}]]"],
    ["{}", "null", "[]"], ["1"],
  ])
  func valuesAreRebuilt(spelled: [String]) {
    let list = ItemList(json: spelled)
    let pick = DrawRequest(clientSeed: seed("test"), generator: .pick(items: list.count, weights: nil), items: list)
    let entries = (0..<20).flatMap { _ in [BatchEntry.draw(shuffle(list)), .draw(pick)] }
    let (_, changes) = decide(Submission(caller: live, operation: .batch(entries)))
    #expect(changes.outcomes.count == 40)
    let values = values(changes.outcomes)
    for outcome in changes.outcomes {
      #expect(outcome.stored.count == (outcome.endpoint == .pick ? 0 : 2 * list.count))
      #expect(values[outcome.id] == outcome.value)
    }
  }

  @Test func damagedColumnsGiveNoValue() {
    let text = bytes("1,2,3")
    func value(_ stored: [UInt8], _ items: [UInt8]?, _ endpoint: Endpoint = .shuffle, fields: String = "\"index\":1")
      -> [UInt8]?
    {
      StoredValue.value(of: Int64(endpoint.rawValue), stored, fields: bytes(fields), items: items)
    }
    #expect(value([0, 2, 0, 0, 0, 1], text) == bytes("[3,1,2]"))
    #expect(value([0, 2, 0, 0, 0, 3], text) == nil && value([0, 2, 0, 0], text) == nil && value([], text) == nil)
    #expect(
      value([0, 2, 0, 0, 0, 1], nil) == nil && value([0, 0], bytes("1,")) == nil)
    #expect(value([], text, .pick) == bytes("2"))
    for fields in ["", "\"index\":3", "\"index\":-1", "\"index\":1.5", "\"index\":\"1\"", "{"] {
      #expect(value([], text, .pick, fields: fields) == nil)
    }
    #expect(StoredValue.value(of: 0, [1], fields: [], items: nil) == nil)
    #expect(StoredValue.value(of: Int64.max, [1], fields: [], items: nil) == nil)
  }
}
