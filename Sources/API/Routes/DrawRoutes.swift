import Fairness
import Ledger

/// The generators: `GET` with a query, `POST` with the same names in a JSON object.
enum DrawRoutes {
  static let routes = Endpoint.allCases.map { endpoint in
    LedgerRoute(path: "/api/\(endpoint.name)", methods: [.get, .post]) { incoming throws(Refusal) in
      .draw(try DrawRequest(endpoint: endpoint, parameters: try incoming.parameters()))
    }
  }
}
