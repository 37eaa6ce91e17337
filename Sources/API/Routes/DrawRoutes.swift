import Fairness
import Hummingbird
import Ledger

/// The seven generators: `GET` with a query, `POST` with the same names in a JSON object.
struct DrawRoutes: Routes {
  let gate: LedgerGate

  var routes: [Route] {
    Endpoint.allCases.map { endpoint in
      Route("/api/\(endpoint.name)", .get, .post) { [gate] request, context in
        try await gate.answer(request, context) { incoming throws(Refusal) in
          .draw(try DrawRequest(endpoint: endpoint, parameters: try incoming.parameters()))
        }
      }
    }
  }
}
