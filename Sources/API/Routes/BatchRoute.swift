import Fairness
import JSON
import Ledger

/// Up to 50 draws in one request and one transaction, each failing alone.
enum BatchRoute {
  static let route = LedgerRoute(path: "/api/batch", methods: [.post]) { incoming throws(Refusal) in
    .batch(try entries(in: incoming))
  }

  private static let names = ParameterNames(of: "/api/batch", "draws")
  private static let entryNames = ParameterNames(of: "a draw in a batch", "endpoint", "params")

  private static func entries(in incoming: Incoming) throws(Refusal) -> [BatchEntry] {
    guard !incoming.body.isEmpty else {
      throw .badRequest("draws required: the body must be a JSON object with a draws array")
    }
    let parameters = try incoming.parameters(names)
    guard case .json(let value)? = try parameters.value("draws") else {
      throw .badRequest("draws required")
    }
    guard let draws = value.elements(limit: maximumBatchSize + 1), (1...maximumBatchSize).contains(draws.count) else {
      throw .badRequest("draws must be an array of 1 to \(maximumBatchSize) draws")
    }
    return draws.map { draw in
      do throws(Refusal) {
        return .draw(try request(draw, longestLists: parameters.longestLists))
      } catch {
        return .refused(error.error)
      }
    }
  }

  private static func request(_ draw: JSONValue, longestLists: Int) throws(Refusal) -> DrawRequest {
    var entry = try Parameters(json: draw, what: "a draw")
    entry.longestLists = longestLists
    // A parameter beside params, where it would count for nothing, is the likeliest of all mistakes.
    try entry.check(entryNames)
    guard let endpoint = try entry.endpoint() else { throw .badRequest("endpoint required") }
    // Left out, params are empty: most endpoints have a default for everything.
    return try DrawRequest(endpoint: endpoint, parameters: try entry.object("params") ?? Parameters(query: []))
  }
}
