import Hummingbird
import Ledger

/// A chain's commitment for its next draw, and moving its cursor on.
struct SeedRoutes: Routes {
  let gate: LedgerGate

  static let paths = [Route("/api/seed", .get), Route("/api/incrementCursor", .get)]

  func add(to router: some RouterMethods<FairdrawContext>) {
    router.get("/api/seed") { request, context in
      // Asking twice gives the same commitment, so there is nothing for an idempotency key to do.
      try await gate.answer(request, context, idempotent: false) { (incoming) throws(Refusal) in
        .seed(try incoming.parameters().clientSeed())
      }
    }
    router.get("/api/incrementCursor") { request, context in
      try await gate.answer(request, context) { (incoming) throws(Refusal) in
        .incrementCursor(try incoming.parameters().clientSeed())
      }
    }
  }
}
