import Hummingbird
import JSON
import Ledger

/// What became of a request that was sent under an idempotency key.
struct IdempotencyRoutes: Routes {
  let lookup: IdempotencyLookup

  var routes: [Route] { [.withoutParameters("/api/idempotency/{key}", .get, needs: .read, handler: look)] }

  @Sendable private func look(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    guard case .key(_, let account, let mode) = context.caller else {
      throw Refusal(
        401, "This address needs an API key: idempotency keys belong to an account.", code: .invalidAPIKey)
    }
    let text = try QueryString.segment(context.captures["key"] ?? "", called: "key")
    guard let key = IdempotencyKey.key(Array(text)) else {
      throw Refusal.invalid("key", "must be an idempotency key: 1 to 255 visible ASCII characters, percent-encoded")
    }
    let scope = IdempotencyScope(account: account, mode: mode, key: key)
    let reservation = try await context.reserveMemory()
    guard let found = try await lookup.find(scope, context) else {
      throw Refusal(
        404, "No response is stored under this Idempotency-Key.",
        code: .unknownIdempotencyKey)
    }
    var body: [UInt8] = []
    body.append(json: "{\"key\":")
    body.append(jsonString: key)
    body.append(json: ",\"method\":")
    body.append(jsonString: found.method.rawValue)
    body.append(json: ",\"path\":")
    body.append(jsonString: found.path)
    body.append(json: ",\"status\":")
    body.append(integer: found.reply.status)
    body.append(json: ",\"created\":")
    body.append(integer: found.created)
    body.append(json: ",\"expires\":")
    if let end = found.expires { body.append(integer: end) } else { body.append(json: "null") }
    body.append(json: ",\"body\":")
    body.append(contentsOf: found.reply.body)
    body.append(json: "}")
    return .json(body, holding: reservation, context)
  }
}
