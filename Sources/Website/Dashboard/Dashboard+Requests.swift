import API
import Hummingbird
import JSON
import Ledger

extension Dashboard {
  /// The most of a stored response that is shown, in bytes.
  private static let mostShown = 20_000

  /// What became of a request that was sent under an idempotency key.
  @Sendable func storedRequest(_ incoming: DashboardRequest) async throws -> Response {
    let text = incoming.query.trimmed("key")
    let isTest = incoming.query["mode"] == "test"
    let lookup = IdempotencyLookup(store: store, retention: parts.retention)
    func problem(_ sentence: String, _ status: Int) -> Response {
      page(
        incoming, "outcomes", "Outcomes", section: "/dashboard/outcomes", values: ["key": text, "isTest": isTest],
        problem: FormProblem(sentence, status: status))
    }
    guard let key = IdempotencyKey.key(Array(text.utf8)) else {
      return problem("An idempotency key has 1 to 255 visible ASCII characters.", 422)
    }
    let scope = IdempotencyScope(account: incoming.account.id, mode: isTest ? .test : .live, key: key)
    let reservation = try await incoming.context.reserveMemory(for: .account(incoming.account.id))
    defer { withExtendedLifetime(reservation) {} }
    guard let found = try await lookup.find(scope, incoming.context) else {
      return problem("No response is stored under this idempotency key\(isTest ? " for test keys" : "").", 404)
    }
    var values: [String: Any] = [
      "key": String(decoding: key, as: UTF8.self), "method": found.method.rawValue, "path": found.path,
      "status": found.reply.status, "created": moment(found.created), "mode": scope.mode.name,
      "body": HTML.shown(json: Array(found.reply.body.prefix(Self.mostShown))),
      "isCut": found.reply.body.count > Self.mostShown,
      "draws": Self.shortIDs(in: found.reply.body).map { ["shortId": $0] },
    ]
    if let expires = found.expires { values["expires"] = moment(expires) }
    return page(incoming, "request", "A request", section: "/dashboard/outcomes", values: values)
  }

  /// The draws that a response tells of: one, or a batch's.
  private static func shortIDs(in body: [UInt8]) -> [String] {
    guard let root = try? JSONText(body).root else { return [] }
    let outcomes = [root] + (root["results"]?.elements() ?? []).compactMap { $0["outcome"] }
    return outcomes.compactMap { $0["shortId"]?.text }
  }
}
