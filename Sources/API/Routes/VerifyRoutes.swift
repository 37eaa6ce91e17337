import Fairness
import Hummingbird
import JSON
import Ledger

/// Looking up what others were told: anyone may check any outcome by its short id.
struct VerifyRoutes: Routes {
  let store: any LedgerStore
  let renderer: OutcomeRenderer
  let verifier: OutcomeVerifier

  private static let serverHashNames = ParameterNames(of: "/api/verifyServerHash", "clientSeed", "serverHash")
  private static let unknown = Refusal(404, "There is no outcome with this shortId.", code: .notFound)
  private static let shortIDNames = ParameterNames(of: "/api/verifyShortId", "shortId")

  var routes: [Route] {
    [
      Route("/api/verifyServerHash", .get, handler: verifyServerHash),
      Route("/api/verifyShortId", .get, handler: verifyShortID),
    ]
  }

  @Sendable private func verifyServerHash(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let parameters = try await Incoming(request, context).parameters(Self.serverHashNames)
    let clientSeed = try parameters.clientSeed()
    guard let text = try parameters.text("serverHash") else { throw Refusal.invalid("serverHash", "required") }
    // What is no hash at all is the hash of nothing.
    let hash = try? ServerHash(hex: String(decoding: text, as: UTF8.self))
    var isKnown = false
    if let hash {
      isKnown = try await context.reading { () throws(StoreFailure) in
        try await store.isKnown(hash, clientSeed: clientSeed)
      }
    }
    var body: [UInt8] = []
    if isKnown {
      body.append(json: "true")
    } else {
      body.append(json: "{\"verified\":false,\"clientSeed\":")
      body.append(jsonString: clientSeed.bytes)
      body.append(json: ",\"serverHash\":")
      body.append(jsonString: hash?.hex ?? text)
      body.append(json: ",\"outcomes\":[]}")
    }
    return .json(body)
  }

  @Sendable private func verifyShortID(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let parameters = try await Incoming(request, context).parameters(Self.shortIDNames)
    guard let text = try parameters.text("shortId") else { throw Refusal.invalid("shortId", "required") }
    guard (4...32).contains(String(decoding: text, as: UTF8.self).count) else {
      throw Refusal.invalid("shortId", "must be 4 to 32 ASCII letters and digits; this server's own have ten")
    }
    let reservation = try await context.reserveMemory()
    let record = try await context.reading { () throws(StoreFailure) in
      try await store.recordedOutcome(shortID: text)
    }
    guard let record else { throw Self.unknown }
    var body: [UInt8] = []
    renderer.append(record.outcome, with: verifier.verdict(on: record), to: &body)
    return .json(body, holding: reservation, context)
  }
}
