import Fairness
import JSON
import Ledger

/// Writes what is sent: the same bytes for the same event, however often it is.
public struct EventRenderer: Sendable {
  private let outcomes: OutcomeRenderer
  private var shortIDs: ShortIDs { outcomes.shortIDs }

  /// - Parameter outcomes: how outcomes and their addresses are written elsewhere.
  public init(outcomes: OutcomeRenderer) { self.outcomes = outcomes }

  /// An event as it goes out.
  public struct Event: Sendable, Equatable {
    /// The `webhook-id`, by which a receiver knows an event that it has seen.
    public let id: String
    /// The `X-Provable-Event`.
    public let name: String
    public let body: [UInt8]
  }

  /// The id of an outcome's event is made from the outcome, so it is the same to every endpoint.
  public func render(_ delivery: ClaimedDelivery) throws -> Event {
    switch delivery.event {
    case .outcome(let outcome, let isReveal):
      return Event(
        id: "msg_" + String(decoding: shortIDs.encode(outcome.id), as: UTF8.self), name: "outcome.created",
        body: try body(of: outcome, isReveal))
    case .test:
      return Event(
        id: "msg_test_" + String(decoding: shortIDs.encode(delivery.id.rawValue), as: UTF8.self), name: "test",
        body: Self.body(
          "test", created: delivery.created, data: Array("{\"message\":\"A test event from Fairdraw.\"}".utf8)))
    case .account(let type, let data):
      guard let name = type.names.first else { throw StoreFailure.damaged("its event is of an unknown type") }
      return Event(
        id: "msg_event_" + String(decoding: shortIDs.encode(delivery.id.rawValue), as: UTF8.self), name: name,
        body: Self.body(name, created: delivery.created, data: data))
    case .damaged(let reason): throw StoreFailure.damaged(reason)
    }
  }

  private func body(of outcome: Outcome, _ isReveal: Bool) throws -> [UInt8] {
    var body: [UInt8] = []
    body.reserveCapacity(512 + outcome.value.count)
    body.append(json: "{\"event\":\"outcome.created\",\"type\":\"outcome.created\",\"timestamp\":\"")
    body.append(iso8601: outcome.created)
    body.append(json: "\",\"data\":{\"endpoint\":\"/api/")
    body.append(text: isReveal ? "reveal" : outcome.endpoint.name)
    body.append(json: "\",\"outcomeId\":")
    body.append(jsonString: outcome.clientSeed.outcomeID(cursor: outcome.cursor, nonce: outcome.nonce))
    body.append(json: ",\"clientSeed\":")
    body.append(jsonString: outcome.clientSeed.bytes)
    body.append(json: ",\"serverSeedHash\":\"")
    body.append(hex: outcome.serverHash.bytes)
    body.append(json: "\",\"nonce\":")
    body.append(integer: outcome.nonce)
    body.append(json: ",\"cursor\":")
    body.append(integer: outcome.cursor)
    body.append(json: ",\"values\":")
    body.append(contentsOf: outcome.value)
    // Of the endpoint's own fields those that every receiver may count on; dice have their notation in the value.
    let fields = try JSONText([UInt8(ascii: "{")] + outcome.fields + [UInt8(ascii: "}")]).root.members ?? []
    let parts = outcome.endpoint == .dice ? try JSONText(outcome.value).root.members ?? [] : []
    for name in ["count", "min", "max", "index", "weights", "notation"] as [StaticString] {
      let value = name.withUTF8Buffer { name in
        (fields.first { $0.name.elementsEqual(name) } ?? parts.first { $0.name.elementsEqual(name) })?.value
      }
      guard let value else { continue }
      body.append(json: ",\"")
      body.append(json: name)
      body.append(json: "\":")
      body.append(contentsOf: value.raw)
    }
    body.append(json: ",\"shortId\":\"")
    let shortID = shortIDs.encode(outcome.id)
    body.append(contentsOf: shortID)
    body.append(json: "\",\"permalink\":")
    outcomes.append(permalink: shortID, to: &body)
    body.append(json: ",\"createdAt\":\"")
    body.append(iso8601: outcome.created)
    body.append(json: "\"}}")
    return body
  }

  private static func body(_ name: String, created: Milliseconds, data: [UInt8]) -> [UInt8] {
    var body: [UInt8] = []
    body.append(text: "{\"event\":\"\(name)\",\"type\":\"\(name)\",\"timestamp\":\"")
    body.append(iso8601: created)
    body.append(json: "\",\"data\":")
    body.append(contentsOf: data)
    body.append(json: "}")
    return body
  }
}
