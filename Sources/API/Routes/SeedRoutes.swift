import Hummingbird
import Ledger

/// A chain's commitment for its next draw, and moving its cursor on.
struct SeedRoutes: Routes {
  let gate: LedgerGate

  var routes: [Route] {
    [
      Route("/api/seed", .get) { [gate] request, context in
        // Asking twice gives the same commitment, so there is nothing for an idempotency key to do.
        try await gate.answer(request, context, idempotent: false) { incoming throws(Refusal) in
          .seed(try incoming.parameters().clientSeed())
        }
      },
      Route("/api/incrementCursor", .get) { [gate] request, context in
        try await gate.answer(request, context) { incoming throws(Refusal) in
          .incrementCursor(try incoming.parameters().clientSeed())
        }
      },
    ]
  }
}
