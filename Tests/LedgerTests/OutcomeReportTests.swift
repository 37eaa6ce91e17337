import Fairness
import JSON
import Ledger
import LedgerSimulation
import Testing

/// Outcomes as anyone may hold them, checked without a ledger; and every way they may have been tampered with, named.
@Suite struct OutcomeReportTests {
  private static let secret = ServerSeed(bytes: Array(0..<32))

  private static let requests: [DrawRequest] = {
    let items = ItemList(json: ["1.50", #""é""#, "{\"a\":[null],\"b\":2}", "12345678901234567890", "[]"])
    let long = ItemList(json: (0..<1000).map { "\"\($0)\"" })
    func dice(_ notation: String) -> Generator { .dice(try! DiceNotation(notation)) }
    return [
      DrawRequest(clientSeed: seed("test"), generator: .floats(count: 3)),
      DrawRequest(clientSeed: seed("test"), generator: .ints(count: 5, min: 1, max: 1_000_000)),
      DrawRequest(clientSeed: seed("test"), generator: .shuffle(items: 5), items: items),
      // So many that no two places are likely to give the same.
      DrawRequest(clientSeed: seed("test"), generator: .pick(items: 1000, weights: nil), items: long),
      DrawRequest(
        clientSeed: seed("test"), generator: .pick(items: 1000, weights: (1...1000).map { 1 / Double($0) }), items: long
      ),
      DrawRequest(clientSeed: seed("test"), generator: .bytes(count: 16, encoding: .hex)),
      DrawRequest(clientSeed: seed("test"), generator: .bytes(count: 16, encoding: .base64)),
      DrawRequest(clientSeed: seed("test"), generator: dice("4d20+5")),
      DrawRequest(clientSeed: seed("test"), generator: .gaussian(count: 3, .normal(mean: 1, stddev: 2))),
      DrawRequest(clientSeed: seed("test"), generator: .gaussian(count: 3, .exponential(lambda: 2))),
      DrawRequest(clientSeed: seed("test"), generator: .gaussian(count: 9, .poisson(lambda: 20))),
    ]
  }()

  /// The members of what /api/verifyShortId answers, in order.
  private func answer(_ request: DrawRequest) throws -> [(name: String, json: String)] {
    let key = ChainKey(owner: .anonymous, clientSeed: request.clientSeed)
    var snapshot = Snapshot(now: newYear, nextOutcome: 1, nextChain: 2)
    snapshot.chains[key] = SeedChain(
      id: 1, key: key, era: 0, epoch: 0, active: ActiveSeed(Self.secret), cursor: 3, nonce: 7, created: newYear)
    var entropy = SplitMix64(state: 1)
    let draw = Submission(caller: .anonymous, operation: .draw(request))
    let outcome = decider.decide([draw], snapshot: snapshot, entropy: &entropy).changes.outcomes[0]
    var body: [UInt8] = []
    decider.renderer.append(outcome, with: Verdict(.revealed, serverSeed: Self.secret), to: &body)
    return try #require(JSONText(body).root.members).map { (text($0.name), text($0.value.raw)) }
  }

  private func report(
    _ members: [(name: String, json: String)], serverSeed: String? = nil, items: String? = nil,
    looksAround: Bool = false
  ) throws -> OutcomeReport {
    let body = "{\n" + members.map { "  \"\($0.name)\" : \($0.json)" }.joined(separator: ",\n") + "\n}"
    return OutcomeReport(
      checking: try JSONText(bytes(body)).root, serverSeed: serverSeed,
      items: try items.map { try JSONText(bytes($0)).root }, looksAround: looksAround)
  }

  private func changed(
    _ members: [(name: String, json: String)], _ name: String, _ json: String?
  ) -> [(name: String, json: String)] {
    #expect(members.contains { $0.name == name }, "there is no \(name) to change")
    return members.compactMap { $0.name != name ? $0 : json.map { (name, $0) } }
  }

  private func failed(_ report: OutcomeReport) -> [String] { report.checks.filter { !$0.passed }.map(\.name) }

  @Test(arguments: 0..<requests.count) func whatWasAnsweredIsVerified(_ number: Int) throws {
    let members = try answer(Self.requests[number])
    let good = try report(members)
    #expect(good.isVerified && good.hint == nil, "\(good)")
    let names = good.checks.map(\.name)
    #expect(
      names
        == (Self.requests[number].generator.endpoint == .pick
          ? ["serverHash", "outcome", "index"] : ["serverHash", "outcome"]))
    // Without what only a look-up adds, given beside it; and in any order.
    let plain = members.filter {
      !["verified", "reason", "reasonCode", "notation", "items", "serverSeed"].contains($0.name)
    }
    let items = members.first { $0.name == "items" }?.json
    #expect(try report(plain.reversed(), serverSeed: Self.secret.description, items: items).isVerified)
  }

  @Test(arguments: 0..<requests.count) func tamperingIsFoundOut(_ number: Int) throws {
    let request = Self.requests[number]
    let members = try answer(request)
    let other = ServerSeed(bytes: Array(1..<33))
    func failures(_ name: String, _ json: String?) throws -> [String] {
      failed(try report(changed(members, name, json)))
    }

    #expect(try failures("serverHash", "\"\(other.hash)\"") == ["serverHash"])
    #expect(try failures("serverHash", nil) == ["serverHash"])
    #expect(try failures("serverSeed", "\"\(other.description)\"").first == "serverHash")
    #expect(try failures("serverSeed", nil) == ["serverSeed"])
    #expect(try failures("serverSeed", "\"\(Self.secret.description.uppercased())\"") == ["serverSeed"])
    #expect(try failures("outcome", nil) == ["outcome"])
    #expect(try failures("endpoint", "\"coins\"") == ["endpoint"])
    for (name, bad) in [
      ("clientSeed", "\"\""), ("nonce", "-1"), ("nonce", "1.5"), ("cursor", "\"0\""), ("cursor", "1e300"),
    ] {
      #expect(try failures(name, bad) == [name])
    }
    // Values of another client seed, nonce or cursor: the outcome, or its parts, are wrong.
    for (name, bad) in [("clientSeed", "\"Test\""), ("nonce", "8"), ("cursor", "4")] {
      let names = try failures(name, bad)
      #expect(!names.isEmpty && names.allSatisfy { $0.hasPrefix("outcome") || $0 == "index" }, "\(name): \(names)")
    }
    if request.items != nil {
      #expect(try failures("items", nil) == ["items"])
      let unknown = try report(members.filter { $0.name != "items" })
      #expect(!unknown.isVerified && !unknown.hasFailed)
      #expect(try failures("items", "[]") == ["items"])
      #expect(try failures("items", "[1,2,3,4,5]").contains { $0 == "outcome" || $0 == "weights" })
    }
    if members.contains(where: { $0.name == "count" }), request.generator.endpoint != .pick {
      #expect(try failures("count", "2").contains { $0 == "count" || $0 == "outcome" })
    }
  }

  @Test func whatWasChangedIsSaidToBeWhatItShouldBe() throws {
    let ints = try answer(Self.requests[1])
    let value = try #require(ints.first { $0.name == "outcome" }?.json)
    let bad = try report(changed(ints, "outcome", "[1,2,3,4,5]"))
    let check = try #require(bad.checks.last)
    #expect(check.name == "outcome" && !check.passed)
    #expect(check.expected == .json(bytes(value)) && check.actual == bytes("[1,2,3,4,5]"))

    // A neighbour's nonce or cursor is found, as long as the values are telling.
    func hint(_ members: [(name: String, json: String)], _ name: String, _ json: String) throws -> String? {
      try report(changed(members, name, json), looksAround: true).hint
    }
    #expect(try hint(ints, "nonce", "9") == "This seed gives the outcome at nonce 7.")
    #expect(try hint(ints, "cursor", "40") == "This seed gives the outcome at cursor 3.")
    let coin = try answer(DrawRequest(clientSeed: seed("test"), generator: .ints(count: 1, min: 0, max: 1)))
    for nonce in 8..<40 { #expect(try hint(coin, "nonce", "\(nonce)") == nil) }

    // Dice, part by part.
    let dice = try answer(Self.requests[7])
    let roll = try #require(dice.first { $0.name == "outcome" }?.json)
    func failures(_ roll: String) throws -> [String] { failed(try report(changed(dice, "outcome", roll))) }
    let total = try #require(try object(bytes(roll))["total"]?.number)
    #expect(try failures(roll.replacing("\"total\":\(total)", with: "\"total\":0")) == ["outcome.total"])
    #expect(try failures(roll.replacing("\"modifier\":5", with: "\"modifier\":6")) == ["outcome.modifier"])
    #expect(try failures(roll.replacing("{", with: "{\"more\":1,")) == ["outcome"])
    #expect(try failures(roll.replacing("4d20", with: "4d21")).contains("outcome.notation") == false)
    #expect(try failures(roll.replacing("4d20", with: "4d21")).contains("sides"))
    #expect(try failures("[]") == ["outcome"])
    #expect(failed(try report(changed(dice, "sides", "6"))) == ["sides"])
    #expect(failed(try report(changed(dice, "count", "5"))) == ["count"])

    let pick = try answer(Self.requests[4])
    #expect(failed(try report(changed(pick, "index", "3"))) == ["index"])
    #expect(failed(try report(changed(pick, "weights", "[1,2]"))) == ["weights"])
    #expect(failed(try report(changed(pick, "count", "2"))) == ["count"])
    let shuffle = try answer(Self.requests[2])
    #expect(failed(try report(changed(shuffle, "count", "6"))) == ["count"])
  }

  @Test(arguments: ["1", "null", "[]", "\"text\"", "{}"]) func whatIsNoOutcomeIsNotVerified(_ json: String) throws {
    let report = OutcomeReport(checking: try JSONText(bytes(json)).root)
    #expect(!report.isVerified && report.checks.count == 1)
  }

  @Test func aFieldGivenTwiceIsRefused() throws {
    let ints = try answer(Self.requests[1])
    for (name, json) in ints where ["outcome", "nonce", "serverHash", "serverSeed", "min"].contains(name) {
      #expect(failed(try report(ints + [(name, json)])) == [name])
    }
  }

  /// Other programs read and write JSON in their own way.
  @Test func anotherSpellingIsTheSameOutcome() throws {
    let normal = try answer(Self.requests[8])
    let numbers = try #require(normal.first { $0.name == "outcome" }?.json)
    let spelt =
      "[" + numbers.dropFirst().dropLast().split(separator: ",").map { $0 + "0e+00" }.joined(separator: " , ") + "]"
    #expect(try report(changed(changed(normal, "outcome", spelt), "mean", "1.0")).isVerified)
    let shuffle = try answer(Self.requests[2])
    let order = try #require(shuffle.first { $0.name == "outcome" }?.json)
    let again = order.replacing("1.50", with: "1.5").replacing("é", with: "\\u00e9")
      .replacing("{\"a\":[null],\"b\":2}", with: "{ \"b\": 2, \"a\": [ null ] }")
    #expect(again != order)
    #expect(try report(changed(shuffle, "outcome", again)).isVerified)
    #expect(
      !(try report(changed(shuffle, "outcome", order.replacing("12345678901234567890", with: "12345678901234567891")))
        .isVerified))
  }
}
