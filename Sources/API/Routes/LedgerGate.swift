import HTTPTypes
import Hummingbird
import Ledger
import NIOCore
import NIOPosix

/// The way from a route into the ledger: reads the request, claims its idempotency key, submits it, and turns the
/// ledger's reply into the response.
struct LedgerGate: Sendable {
  private let writer: LedgerWriter
  private let exactReplays = ExactReplays()
  private let lanes: [ObjectIdentifier: EventLoopLane]

  init(writer: LedgerWriter, eventLoops: MultiThreadedEventLoopGroup) {
    self.writer = writer
    var lanes: [ObjectIdentifier: EventLoopLane] = [:]
    for loop in eventLoops.makeIterator() { lanes[ObjectIdentifier(loop)] = EventLoopLane(loop: loop) }
    self.lanes = lanes
  }

  /// Submits what `parse` makes of the request.
  ///
  /// - Parameter idempotent: whether the request's `Idempotency-Key` counts.
  /// - Throws: ``Refusal``, from `parse` or when the ledger is unavailable. Under an idempotency key a refusal from `parse`
  ///   goes through the ledger like any other answer, so that the retry is told the same.
  func answer(
    _ request: Request, _ context: FairdrawContext, idempotent: Bool = true,
    parse: (Incoming) throws(Refusal) -> Operation
  ) async throws -> Response {
    let incoming = try await Incoming(request, context)
    let exact =
      idempotent
      ? ExactReplays.Request(incoming, by: context.caller, idempotencyKey: request.headers[.idempotencyKey]) : nil
    if let exact, let reply = exactReplays.reply(to: exact) { return response(reply, context) }
    var claim: IdempotencyClaim?
    if idempotent, let scope = try Self.scope(request, context.caller) {
      claim = IdempotencyClaim(scope: scope, fingerprint: incoming.fingerprint())
    }
    // A retry is answered before its parameters are even looked at, if its answer is at hand.
    if let claim, let reply = writer.recall(claim) {
      if let exact, reply.isReplay { exactReplays.remember(reply, for: exact) }
      return response(reply, context)
    }
    let operation: Operation
    do throws(Refusal) {
      operation = try parse(incoming)
    } catch {
      guard claim != nil else { throw error }
      operation = .refuse(error)
    }
    let submission = Submission(caller: context.caller, claim: claim, operation: operation)
    return response(try await submit(submission, context), context)
  }

  private static let conflict = Reply(.idempotencyConflict)

  private func response(_ reply: Reply, _ context: FairdrawContext) -> Response {
    if reply.isReplay {
      context.record.note { $0.isReplay = true }
    } else if reply == Self.conflict {
      context.record.note { $0.isConflict = true }
    }
    return Response(reply)
  }

  /// Submits what was read and claimed already.
  ///
  /// - Throws: ``Refusal`` when the ledger is unavailable.
  func submit(_ submission: Submission, _ context: FairdrawContext) async throws(Refusal) -> Reply {
    let started = ContinuousClock.now
    do throws(LedgerUnavailable) {
      let reply = try await writer.submit(submission, lane: lanes[ObjectIdentifier(context.eventLoop)])
      context.record.note { $0.ledger = ContinuousClock.now - started }
      return reply
    } catch {
      context.record.note { $0.fault = "\(error)" }
      throw Self.refusal(error, isIdempotent: submission.claim != nil)
    }
  }

  private static func refusal(_ error: LedgerUnavailable, isIdempotent: Bool) -> Refusal {
    switch error {
    case .overloaded:
      Refusal(503, "The server has too much to do; nothing was drawn.", code: "overloaded", retryAfter: 1)
    case .shuttingDown:
      Refusal(503, "The server is shutting down; nothing was drawn.", code: "shutting_down", retryAfter: 1)
    case .storeFailed:
      Refusal.unavailable
    case .timedOut where isIdempotent:
      Refusal(
        503, "The request under this Idempotency-Key is still running; try again for its answer.",
        code: "idempotency_in_flight", retryAfter: 1)
    case .timedOut:
      Refusal(
        503, "The answer did not come in time; the draw may have been recorded.", code: "timed_out", retryAfter: 1)
    }
  }

  /// Where the request's idempotency key belongs; nil without one, and for an anonymous caller, who has no account.
  private static func scope(_ request: Request, _ caller: Caller) throws(Refusal) -> IdempotencyScope? {
    guard case .key(_, let account, let mode) = caller else { return nil }
    let keys = request.headers[values: .idempotencyKey]
    guard let key = keys.first else { return nil }
    guard keys.count == 1, (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
    else {
      throw .badRequest("Idempotency-Key must be given once and be 1 to 255 visible ASCII characters")
    }
    return IdempotencyScope(account: account, mode: mode, key: Array(key.utf8))
  }
}

/// Resumes the callers of one event loop with one wake-up for all of them.
private final class EventLoopLane: ReplyLane {
  private let loop: any EventLoop

  init(loop: any EventLoop) { self.loop = loop }

  func run(_ body: @escaping @Sendable () -> Void) { loop.execute(body) }
}
