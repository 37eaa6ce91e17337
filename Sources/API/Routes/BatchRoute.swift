import Fairness
import JSON
import Ledger

/// Up to 50 draws in one request and one transaction, each failing alone.
enum BatchRoute {
  static let route = LedgerRoute(path: "/api/batch", methods: [.post]) { incoming throws(Refusal) in
    .batch(try entries(in: incoming.body))
  }

  private static func entries(in body: [UInt8]) throws(Refusal) -> [BatchEntry] {
    guard !body.isEmpty else { throw .badRequest("draws required: the body must be a JSON object with a draws array") }
    let parameters = try Parameters(json: try BodyReader.json(body), what: "The body")
    guard case .json(let value)? = try parameters.value("draws") else { throw .badRequest("draws required") }
    guard let draws = value.elements(limit: maximumBatchSize + 1), (1...maximumBatchSize).contains(draws.count) else {
      throw .badRequest("draws must be an array of 1 to \(maximumBatchSize) draws")
    }
    return draws.map { draw in
      do throws(Refusal) {
        return .draw(try request(draw))
      } catch {
        return .refused(error.error)
      }
    }
  }

  private static func request(_ draw: JSONValue) throws(Refusal) -> DrawRequest {
    let entry = try Parameters(json: draw, what: "a draw")
    guard let name = try entry.text("endpoint") else { throw .badRequest("endpoint required") }
    guard let endpoint = Endpoint(name: String(decoding: name, as: UTF8.self)) else {
      let names = Endpoint.allCases.map(\.name).joined(separator: ", ")
      throw .badRequest("endpoint must be one of \(names)")
    }
    guard case .json(let params)? = try entry.value("params") else { throw .badRequest("params required") }
    return try DrawRequest(endpoint: endpoint, parameters: try Parameters(json: params, what: "params"))
  }
}
