import Fairness
import HTTPTypes
import JSON
import Ledger

/// What is done with server seeds: pinning the next draw's, moving on, rotating, and commit–reveal.
enum SeedRoutes {
  static let routes = [
    // Asking twice gives the same commitment, so there is nothing for an idempotency key to do.
    chain("/api/seed", .get, isIdempotent: false, Operation.seed),
    chain("/api/incrementCursor", .get, Operation.incrementCursor),
    chain("/api/rotate", .post, Operation.rotate),
    LedgerRoute(path: "/api/commit", methods: [.post]) { incoming throws(Refusal) in
      _ = try incoming.parameters(ParameterNames(of: "/api/commit"))  // there are none
      return .commit
    },
    LedgerRoute(path: "/api/reveal", methods: [.post]) { incoming throws(Refusal) in
      try reveal(try incoming.parameters(revealNames))
    },
  ]

  /// A route whose one parameter is the client seed.
  private static func chain(
    _ path: String, _ method: HTTPRequest.Method, isIdempotent: Bool = true,
    _ operation: @escaping @Sendable (ClientSeed) -> Operation
  ) -> LedgerRoute {
    let names = ParameterNames(of: path, "clientSeed")
    return LedgerRoute(path: path, methods: [method], isIdempotent: isIdempotent) { incoming throws(Refusal) in
      operation(try incoming.parameters(names).clientSeed())
    }
  }

  private static let revealNames = ParameterNames(of: "/api/reveal", "commitId", "clientSeed", "endpoint", "params")

  private static func reveal(_ parameters: Parameters) throws(Refusal) -> Operation {
    guard let text = try parameters.text("commitId") else { throw .invalid("commitId", "required") }
    guard let id = CommitID(String(decoding: text, as: UTF8.self)) else {
      throw .invalid("commitId", "must be a UUID")
    }
    let clientSeed = try parameters.clientSeed()
    guard let endpoint = try parameters.endpoint() else { throw .invalid("endpoint", "required") }
    // Left out, params are empty: most endpoints have a default for everything.
    let draw = try parameters.object("params") ?? Parameters(query: [])
    try draw.check(.of(endpoint))
    // The client seed stands beside params. One inside must not be passed over if it says something else.
    if try draw.text("clientSeed") != nil, try draw.clientSeed() != clientSeed {
      throw .invalid("clientSeed", "belongs beside params, and params has another one")
    }
    return .reveal(id, try DrawRequest(endpoint: endpoint, parameters: draw, clientSeed: clientSeed))
  }
}
