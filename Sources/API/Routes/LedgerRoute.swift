import HTTPTypes
import Ledger

/// An address whose requests become submissions.
///
/// What it does with one is a plain function, so that ``LedgerConnection`` can answer without leaving its event loop.
struct LedgerRoute: Sendable {
  /// The scopes that a key must have for any of them.
  static let needs = KeyScopes.draw

  let path: String
  let methods: [HTTPRequest.Method]
  /// Whether a request's `Idempotency-Key` counts.
  var isIdempotent = true
  /// What a request asks for; throws what is wrong with it.
  let operation: @Sendable (Incoming) throws(Refusal) -> Operation
}

extension Route {
  /// The route as the rest of the server sees it.
  init(_ route: LedgerRoute, gate: LedgerGate) {
    self.init(route.path, methods: route.methods, needs: LedgerRoute.needs) { request, context in
      try await gate.answer(request, context, idempotent: route.isIdempotent, parse: route.operation)
    }
  }
}
