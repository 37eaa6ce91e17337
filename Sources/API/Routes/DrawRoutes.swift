import Fairness
import Hummingbird
import Ledger

/// The seven generators: `GET` with a query, `POST` with the same names in a JSON object.
struct DrawRoutes: Routes {
  let gate: LedgerGate

  static let paths: [Route] = Endpoint.allCases.map { Route("/api/\($0.name)", .get, .post) }

  func add(to router: some RouterMethods<FairdrawContext>) {
    for endpoint in Endpoint.allCases {
      for method in [HTTPRequest.Method.get, .post] {
        router.on("/api/\(endpoint.name)", method: method) { request, context in
          try await gate.answer(request, context) { (incoming) throws(Refusal) in
            .draw(try DrawRequest(endpoint: endpoint, parameters: try incoming.parameters()))
          }
        }
      }
    }
  }
}
