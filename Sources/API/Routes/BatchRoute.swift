import Fairness
import JSON
import Ledger

/// Up to 50 draws in one request and one transaction, each failing alone or, if the batch is atomic, all together.
enum BatchRoute {
  static let route = LedgerRoute(path: "/api/batch", methods: [.post]) { incoming throws(Refusal) in
    guard !incoming.body.isEmpty else {
      throw .invalid("draws", "required: the body must be a JSON object with a draws array")
    }
    let parameters = try incoming.parameters(names)
    return .batch(try entries(in: parameters), isAtomic: try parameters.boolean("atomic") ?? false)
  }

  private static let names = ParameterNames(of: "/api/batch", "draws", "atomic")
  private static let entryNames = ParameterNames(of: "a draw in a batch", "endpoint", "params", "id")

  private static func entries(in parameters: Parameters) throws(Refusal) -> [BatchEntry] {
    guard case .json(let value)? = try parameters.value("draws") else {
      throw .invalid("draws", "required")
    }
    guard let draws = value.elements(limit: maximumBatchSize + 1), (1...maximumBatchSize).contains(draws.count) else {
      throw .invalid("draws", "must be an array of 1 to \(maximumBatchSize) draws")
    }
    return draws.map { draw in
      var id: [UInt8]?
      do throws(Refusal) {
        var entry = try Parameters(json: draw, what: "a draw", parameter: "draws")
        entry.longestLists = parameters.longestLists
        id = try Self.id(of: entry)
        return .draw(try request(entry), id: id)
      } catch {
        return .refused(error, id: id)
      }
    }
  }

  private static func id(of entry: Parameters) throws(Refusal) -> [UInt8]? {
    guard let id = try entry.text("id") else { return nil }
    guard id.count <= BatchEntry.longestID else {
      throw .invalid("id", "must be a string of at most \(BatchEntry.longestID) bytes")
    }
    return id
  }

  private static func request(_ entry: Parameters) throws(Refusal) -> DrawRequest {
    // A parameter beside params, where it would count for nothing, is the likeliest of all mistakes.
    try entry.check(entryNames)
    guard let endpoint = try entry.endpoint() else { throw .invalid("endpoint", "required") }
    // Left out, params are empty: most endpoints have a default for everything.
    return try DrawRequest(endpoint: endpoint, parameters: try entry.object("params") ?? Parameters(query: []))
  }
}
