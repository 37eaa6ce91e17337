import Fairness
import JSON
import Ledger

/// What is done with server seeds: pinning the next draw's, moving on, rotating, and commit–reveal.
enum SeedRoutes {
  static let routes = [
    // Asking twice gives the same commitment, so there is nothing for an idempotency key to do.
    LedgerRoute(path: "/api/seed", methods: [.get], isIdempotent: false) { incoming throws(Refusal) in
      .seed(try incoming.parameters().clientSeed())
    },
    LedgerRoute(path: "/api/incrementCursor", methods: [.get]) { incoming throws(Refusal) in
      .incrementCursor(try incoming.parameters().clientSeed())
    },
    LedgerRoute(path: "/api/rotate", methods: [.post]) { incoming throws(Refusal) in
      .rotate(try incoming.parameters().clientSeed())
    },
    LedgerRoute(path: "/api/commit", methods: [.post]) { incoming throws(Refusal) in
      _ = try incoming.parameters()  // there are none, but what is sent has to be well formed
      return .commit
    },
    LedgerRoute(path: "/api/reveal", methods: [.post]) { incoming throws(Refusal) in
      try reveal(try incoming.parameters())
    },
  ]

  private static func reveal(_ parameters: Parameters) throws(Refusal) -> Operation {
    guard let text = try parameters.text("commitId") else { throw .badRequest("commitId required") }
    guard let id = CommitID(String(decoding: text, as: UTF8.self)) else {
      throw .badRequest("commitId must be a UUID")
    }
    let clientSeed = try parameters.clientSeed()
    guard let name = try parameters.text("endpoint") else { throw .badRequest("endpoint required") }
    let endpoint = Endpoint(name: String(decoding: name, as: UTF8.self))
    guard let endpoint, endpoint == .floats || endpoint == .ints else {
      throw .badRequest("endpoint must be floats or ints")
    }
    // All that these two take has a default, so params may be left out.
    var draw = Parameters(query: [])
    switch try parameters.value("params") {
    case nil: break
    case .text: throw .badRequest("params must be a JSON object")
    case .json(let json): draw = try Parameters(json: json, what: "params")
    }
    // The client seed stands beside params. One inside must not be passed over if it says something else.
    if try draw.text("clientSeed") != nil, try draw.clientSeed() != clientSeed {
      throw .badRequest("clientSeed belongs beside params, and params has another one")
    }
    return .reveal(id, try DrawRequest(endpoint: endpoint, parameters: draw, clientSeed: clientSeed))
  }
}
