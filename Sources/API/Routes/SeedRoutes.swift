import Ledger

/// A chain's commitment for its next draw, and moving its cursor on.
enum SeedRoutes {
  static let routes = [
    // Asking twice gives the same commitment, so there is nothing for an idempotency key to do.
    LedgerRoute(path: "/api/seed", methods: [.get], isIdempotent: false) { incoming throws(Refusal) in
      .seed(try incoming.parameters().clientSeed())
    },
    LedgerRoute(path: "/api/incrementCursor", methods: [.get]) { incoming throws(Refusal) in
      .incrementCursor(try incoming.parameters().clientSeed())
    },
  ]
}
