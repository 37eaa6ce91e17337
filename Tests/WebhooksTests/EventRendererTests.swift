import Fairness
import Foundation
import Ledger
import Testing
import Webhooks

@Suite struct EventRendererTests {
  private let renderer = EventRenderer(
    outcomes: OutcomeRenderer(
      shortIDs: ShortIDs(masterKey: try! MasterKey(bytes: Array(1...32))), publicURL: "https://draws.example"))
  private let target = WebhookTarget(
    endpoint: WebhookEndpointID(1), account: AccountID(1), url: WebhookURL("https://example.com")!,
    secrets: [WebhookSecret(bytes: [7])])

  private func delivery(_ event: DeliveryEvent, id: Int64 = 7) -> ClaimedDelivery {
    ClaimedDelivery(
      id: DeliveryID(id), target: target, event: event, created: 1_767_225_600_123, since: 0, attempts: 0, claim: 1)
  }

  private func outcome(_ endpoint: Endpoint, value: String, fields: String) throws -> Outcome {
    Outcome(
      id: 42, chain: 1, mode: .live, clientSeed: try ClientSeed("a\"é"),
      serverHash: try ServerHash(bytes: Array(repeating: 0xAB, count: 32)), epoch: 0, cursor: 3, nonce: 9,
      endpoint: endpoint, value: Array(value.utf8), fields: Array(fields.utf8), items: nil, created: 1_767_225_600_123)
  }

  @Test func anOutcomeIsWrittenAsTheContractHasIt() throws {
    let event = try renderer.render(
      delivery(.outcome(try outcome(.ints, value: "[5,1]", fields: #""min":1,"max":6,"count":2"#), isReveal: false)))
    let shortID = event.id.dropFirst(4)
    let hash = String(repeating: "ab", count: 32)
    #expect(
      String(decoding: event.body, as: UTF8.self) == """
        {"event":"outcome.created","type":"outcome.created","timestamp":"2026-01-01T00:00:00.123Z","data":{"endpoint":"/api/ints",\
        "outcomeId":"a\\"é:3:9","clientSeed":"a\\"é","serverSeedHash":"\(hash)","nonce":9,"cursor":3,"values":[5,1],\
        "count":2,"min":1,"max":6,"shortId":"\(shortID)","permalink":"https://draws.example/o/\(shortID)","createdAt":"2026-01-01T00:00:00.123Z"}}
        """)
    #expect(event.name == "outcome.created")
    #expect(event.id.hasPrefix("msg_") && event.id.utf8.count == 14)
  }

  /// The members of an outcome's data beside those that every outcome has.
  private func members(_ outcome: Outcome) throws -> [String: Any] {
    let body = try renderer.render(delivery(.outcome(outcome, isReveal: false))).body
    let object = try #require(try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any])
    let data = try #require(object["data"] as? [String: Any])
    let common: Set = [
      "endpoint", "outcomeId", "clientSeed", "serverSeedHash", "nonce", "cursor", "values", "count", "createdAt",
      "shortId", "permalink",
    ]
    #expect(common.isSubset(of: data.keys))
    return data.filter { !common.contains($0.key) }
  }

  @Test func ofTheOtherFieldsThoseThatTheDrawHasAreTold() throws {
    let weighted = try members(
      outcome(.pick, value: #"{"min":3}"#, fields: #""index":1,"weights":[1,2],"count":1"#))
    #expect(weighted.keys.sorted() == ["index", "weights"] && weighted["index"] as? Int == 1)
    #expect(weighted["weights"] as? [Int] == [1, 2])
    let plain = try members(outcome(.pick, value: "3", fields: #""index":0,"weights":null,"count":1"#))
    #expect(plain["weights"] is NSNull)
    let dice = try members(
      outcome(
        .dice, value: #"{"notation":"2d6+1","rolls":[3,4],"modifier":1,"total":8}"#,
        fields: #""sides":6,"modifier":1,"count":2"#))
    #expect(dice.keys.sorted() == ["notation"] && dice["notation"] as? String == "2d6+1")
    #expect(try members(outcome(.bytes, value: #""ff""#, fields: #""encoding":"hex","count":1"#)).isEmpty)
  }

  @Test func theSameEventHasTheSameIdAndBytes() throws {
    let outcome = try outcome(.floats, value: "[0.5]", fields: #""count":1"#)
    let (first, again) = (
      try renderer.render(delivery(.outcome(outcome, isReveal: false))),
      try renderer.render(delivery(.outcome(outcome, isReveal: false), id: 8))
    )
    #expect(first == again)
    let tests = try (1...3).map { try renderer.render(delivery(.test, id: $0)) }
    #expect(Set(tests.map(\.id)).count == 3)
    #expect(tests.allSatisfy { $0.name == "test" && $0.id != first.id })
  }

  @Test func timesAreISO8601() {
    func text(_ moment: Milliseconds) -> String {
      var bytes: [UInt8] = []
      bytes.append(iso8601: moment)
      return String(decoding: bytes, as: UTF8.self)
    }
    #expect(text(0) == "1970-01-01T00:00:00.000Z")
    #expect(text(951_782_399_999) == "2000-02-28T23:59:59.999Z")
    #expect(text(951_782_400_000) == "2000-02-29T00:00:00.000Z")
    #expect(text(-1) == "1969-12-31T23:59:59.999Z")
    let formatter = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    for _ in 0..<2000 {
      let moment = Milliseconds.random(in: 0...4_102_444_800_000)
      #expect(text(moment) == Date(timeIntervalSince1970: (Double(moment) + 0.5) / 1000).formatted(formatter))
    }
  }
}
