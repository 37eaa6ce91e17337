import Fairness
import JSON
import Ledger
import LedgerSimulation
import Testing

@Suite struct OutcomeRendererTests {
  private func outcome(
    clientSeed: String = "round-1:chest-1", endpoint: Endpoint = .ints, value: String = "[42]",
    fields: String = #""min":1,"max":100,"count":1"#, mode: Mode = .live
  ) -> Outcome {
    Outcome(
      id: 1, chain: 1, mode: mode, clientSeed: seed(clientSeed),
      serverHash: try! ServerHash(bytes: [UInt8](repeating: 0xA5, count: 32)), epoch: 0, cursor: 3, nonce: 12,
      endpoint: endpoint, value: bytes(value), fields: bytes(fields), items: nil, created: 1_716_566_400_000)
  }

  private func rendered(_ outcome: Outcome, publicURL: String = "https://draw.example") -> String {
    var body: [UInt8] = []
    let shortID = OutcomeRenderer(shortIDs: shortIDs, publicURL: publicURL).append(outcome, to: &body)
    #expect(shortID == shortIDs.encode(outcome.id))
    return text(body)
  }

  @Test func toTheByte() {
    let hash = String(repeating: "a5", count: 32)
    #expect(
      rendered(outcome()) == """
        {"outcome":[42],"shortId":"771D9oe5NE","permalink":"https://draw.example/o/771D9oe5NE",\
        "serverHash":"\(hash)","clientSeed":"round-1:chest-1","cursor":3,"nonce":12,"endpoint":"ints",\
        "min":1,"max":100,"count":1,"created":1716566400000,"mode":"live"}
        """)
  }

  @Test func textIsEscaped() throws {
    let rendered = rendered(outcome(clientSeed: "\"\\\n\u{1}é", mode: .test), publicURL: "http://[::1]:8080/\"a\"")
    let members = try object(bytes(rendered))
    #expect(members["clientSeed"]?.string == bytes("\"\\\n\u{1}é"))
    #expect(members["permalink"]?.string == bytes("http://[::1]:8080/\"a\"/o/771D9oe5NE"))
    #expect(members["mode"]?.string == bytes("test"))
  }

  /// The order of the guide to batches: the common fields, the endpoint's own, the time.
  static let fieldOrder: [(DrawRequest, [String])] = {
    let items = ItemList(json: ["1", "2"])
    let test = seed("test")
    let weights = [1.0, 2.5]
    return [
      (DrawRequest(clientSeed: test, generator: .floats(count: 2)), ["count"]),
      (DrawRequest(clientSeed: test, generator: .ints(count: 2, min: 1, max: 6)), ["min", "max", "count"]),
      (DrawRequest(clientSeed: test, generator: .shuffle(items: 2), items: items), ["count"]),
      (
        DrawRequest(clientSeed: test, generator: .pick(items: 2, weights: weights), items: items),
        ["index", "weights", "count"]
      ),
      (DrawRequest(clientSeed: test, generator: .bytes(count: 2, encoding: .base64)), ["encoding", "count"]),
      (DrawRequest(clientSeed: test, generator: .dice(try! DiceNotation("2d20+5"))), ["count", "sides", "modifier"]),
      (
        DrawRequest(clientSeed: test, generator: .gaussian(count: 2, .normal(mean: 0, stddev: 1))),
        ["distribution", "mean", "stddev", "count"]
      ),
      (
        DrawRequest(clientSeed: test, generator: .gaussian(count: 2, .exponential(lambda: 1))),
        ["distribution", "lambda", "count"]
      ),
      (
        DrawRequest(clientSeed: test, generator: .gaussian(count: 2, .poisson(lambda: 1))),
        ["distribution", "lambda", "count"]
      ),
    ]
  }()

  @Test(arguments: fieldOrder.indices) func fieldsComeInTheGuidesOrder(_ index: Int) throws {
    let (request, own) = Self.fieldOrder[index]
    var entropy = SplitMix64(state: 1)
    let decision = decider.decide(
      [Submission(caller: .anonymous, operation: .draw(request))],
      snapshot: Snapshot(now: newYear, nextOutcome: 1, nextChain: 1), entropy: &entropy)
    let members = try #require(JSONText(decision.replies[0].body).root.members)
    #expect(
      members.map { text($0.name) }
        == [
          "outcome", "shortId", "permalink", "serverHash", "clientSeed", "cursor", "nonce", "endpoint",
        ] + own + ["created", "mode"])
  }
}
