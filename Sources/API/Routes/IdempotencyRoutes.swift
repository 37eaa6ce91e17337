import Hummingbird
import JSON
import Ledger

/// What became of a request that was sent under an idempotency key.
struct IdempotencyRoutes: Routes {
  let store: any LedgerStore
  let retention: IdempotencyRetention

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
    let record = try await context.reading { () throws(StoreFailure) in try await store.idempotencyRecord(scope) }
    guard let record, !retention.isOver(record.created, at: LedgerWriter.wallClock()) else {
      throw Refusal(
        404, "No response is stored under this Idempotency-Key.",
        code: .unknownIdempotencyKey)
    }
    guard let request = IdempotentRequests.request(record.request) else {
      throw context.refusal(
        for: .damaged("an idempotency record of account \(account.rawValue) is of no known request"))
    }
    var body: [UInt8] = []
    body.append(json: "{\"key\":")
    body.append(jsonString: key)
    body.append(json: ",\"method\":")
    body.append(jsonString: request.method.rawValue)
    body.append(json: ",\"path\":")
    body.append(jsonString: request.path)
    body.append(json: ",\"status\":")
    body.append(integer: record.reply.status)
    body.append(json: ",\"created\":")
    body.append(integer: record.created)
    body.append(json: ",\"expires\":")
    if let end = retention.end(of: record.created) { body.append(integer: end) } else { body.append(json: "null") }
    body.append(json: ",\"body\":")
    body.append(contentsOf: record.reply.body)
    body.append(json: "}")
    return .json(body, holding: reservation, context)
  }
}
