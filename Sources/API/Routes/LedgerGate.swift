import HTTPTypes
import Hummingbird
import Ledger
import NIOCore
import NIOPosix

/// The way from a route into the ledger: reads the request, claims its idempotency key, submits it, and turns the
/// ledger's reply into the response.
public struct LedgerGate: Sendable {
  private let writer: LedgerWriter
  private let exactReplays = ExactReplays()
  private let uncosted = RateLimiter<AccountID>(perMinute: LedgerGate.uncostedPerMinute, subscribers: 10_000)
  private let replyQueues: [ObjectIdentifier: EventLoopReplies]

  /// What an account may have stored in a minute without paying for it from its quota: new chains, commitments,
  /// rotations, kept refusals, and the forms of the dashboard.
  package static let uncostedPerMinute = 600

  /// - Parameter eventLoops: those that connections are served on.
  public init(writer: LedgerWriter, eventLoops: MultiThreadedEventLoopGroup = .singleton) {
    self.writer = writer
    var replyQueues: [ObjectIdentifier: EventLoopReplies] = [:]
    for loop in eventLoops.makeIterator() { replyQueues[ObjectIdentifier(loop)] = EventLoopReplies(loop: loop) }
    self.replyQueues = replyQueues
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
    let keys = idempotent ? context.headers.idempotencyKeys : []
    switch try prepare(incoming, idempotencyKeys: keys, record: context.record, parse: parse) {
    case .answered(let reply): return context.response(to: reply)
    case .submission(let submission): return context.response(to: try await reply(to: submission, context))
    }
  }

  /// Submits what was made without a request to the API, and waits for the ledger's reply.
  ///
  /// - Throws: ``Refusal`` when the ledger is unavailable.
  package func reply(to submission: Submission, _ context: FairdrawContext) async throws(Refusal) -> Reply {
    let reply = await withCheckedContinuation { continuation in
      submit(submission, on: context.eventLoop, record: context.record) { continuation.resume(returning: $0) }
    }
    return try reply.get()
  }

  /// The answer that a submission's idempotency key has got before, if it is at hand.
  package func recall(_ submission: Submission) -> Reply? { submission.claim.flatMap(writer.recall) }

  /// A request as far as it gets without waiting.
  enum Prepared {
    case answered(Reply)
    case submission(Submission)
  }

  /// Claims the request's idempotency key and reads the request, unless its answer is at hand.
  func prepare(
    _ incoming: Incoming, idempotencyKeys: [String], record: RequestRecord,
    parse: (Incoming) throws(Refusal) -> Operation
  ) throws(Refusal) -> Prepared {
    let caller = incoming.caller
    let exact =
      idempotencyKeys.count == 1
      ? ExactReplays.Request(incoming, idempotencyKey: idempotencyKeys[0]) : nil
    if let exact, let reply = exactReplays.reply(to: exact) {
      record.note { $0.isReplay = true }
      return .answered(reply)
    }
    var claim: IdempotencyClaim?
    if let scope = try Self.scope(idempotencyKeys, caller) {
      claim = IdempotencyClaim(
        scope: scope, fingerprint: incoming.fingerprint(),
        request: IdempotentRequests.number(incoming.method, incoming.target.path))
    }
    // A retry is answered before its parameters are even looked at, if its answer is at hand.
    if let claim, let reply = writer.recall(claim) {
      if let exact, reply.isReplay { exactReplays.remember(reply, for: exact) }
      record.note {
        $0.isReplay = reply.isReplay
        $0.isConflict = !reply.isReplay
      }
      return .answered(reply)
    }
    let operation: Operation
    do throws(Refusal) {
      operation = try parse(incoming)
    } catch {
      guard claim != nil else { throw error }
      operation = .refuse(error)
    }
    let submission = Submission(caller: caller, claim: claim, operation: operation)
    if submission.mayWriteWithoutCost, let account = caller.liveAccount, let seconds = uncosted.wait(for: account) {
      let refusal = Self.tooMuch(retryAfter: seconds)
      guard let claim else { throw refusal }
      // The store may have an answer to this retry that is not at hand. If not, the refusal is answered, and not kept.
      return .submission(Submission(caller: caller, claim: claim, operation: .refuse(refusal)))
    }
    return .submission(submission)
  }

  /// Hands a submission to the ledger.
  ///
  /// - Parameter answer: called once, on `eventLoop`, with the ledger's reply or with why there is none.
  func submit(
    _ submission: Submission, on eventLoop: any EventLoop, record: RequestRecord,
    answer: @escaping @Sendable (Result<Reply, Refusal>) -> Void
  ) {
    let address = submission.caller == .anonymous ? record.subscriber : nil
    writer.submit(submission, from: address, replyQueue: replyQueues[ObjectIdentifier(eventLoop)]) { result in
      switch result {
      case .success(let reply):
        if reply.wroteWithoutCost, let account = submission.caller.liveAccount { uncosted.charge(to: account) }
        record.note {
          $0.isReplay = reply.isReplay
          if let fault = reply.fault { $0.fault = fault.logged }
          $0.isConflict = reply.refusal?.kind == .conflict
        }
        answer(.success(reply))
      case .failure(let failure):
        record.note { $0.fault = failure.logged }
        answer(.failure(Self.refusal(failure, isIdempotent: submission.claim != nil)))
      }
    }
  }

  /// Why nothing is recorded until the server's operator acts; nil if there is no such reason.
  package var stopped: Refusal? { writer.stopped.map(Refusal.init) }

  /// Takes account of something that an account has stored besides what it draws.
  ///
  /// - Throws: a 429 if there was too much of that lately.
  package func takeUncosted(for account: AccountID) throws(Refusal) {
    if let seconds = uncosted.take(for: account) { throw Self.tooMuch(retryAfter: seconds) }
  }

  private static func tooMuch(retryAfter seconds: Int) -> Refusal {
    Refusal(
      429, "This account has made too many requests that cost no quota. Wait before the next one.",
      code: .rateLimited, retryAfter: seconds,
      policy: RateLimitPolicy("uncosted", quota: uncostedPerMinute, window: 60))
  }

  /// Why a caller may draw nothing at all, for those who must know before they begin; nil if there is no such reason.
  func refusal(for caller: Caller) -> Refusal? { writer.refusal(for: caller) }

  private static func refusal(_ error: LedgerUnavailable, isIdempotent: Bool) -> Refusal {
    switch error {
    case .overloaded:
      .overloaded("The server is overloaded; nothing was drawn.", retryAfter: 1)
    case .shuttingDown:
      Refusal(503, "The server is shutting down; nothing was drawn.", code: .shuttingDown, retryAfter: 1)
    case .storeFailed(let failure):
      Refusal(failure)
    case .timedOut where isIdempotent:
      Refusal(
        503, "The request with this Idempotency-Key is still running; retry to get its response.",
        code: .idempotencyInFlight, retryAfter: 1)
    case .timedOut:
      Refusal(
        503, "There was no response in time; the draw may have been recorded.", code: .timedOut, retryAfter: 1)
    }
  }

  /// Where the request's idempotency key belongs; nil without one, and for an anonymous caller, who has no account.
  private static func scope(_ keys: [String], _ caller: Caller) throws(Refusal) -> IdempotencyScope? {
    guard case .key(_, let account, let mode) = caller, let key = try IdempotencyKey.read(keys) else { return nil }
    return IdempotencyScope(account: account, mode: mode, key: key)
  }
}

extension Submission {
  /// Whether it may have something stored and record no outcome. A single draw never does: what it is refused for is
  /// not kept.
  fileprivate var mayWriteWithoutCost: Bool {
    switch operation {
    case .draw: false
    case .batch, .reveal: claim != nil
    case .seed, .incrementCursor, .rotate, .commit, .refuse: true
    }
  }
}

extension Caller {
  /// The account of a live key.
  fileprivate var liveAccount: AccountID? {
    if case .key(_, let account, .live) = self { account } else { nil }
  }
}

/// Resumes the callers of one event loop with one wake-up for all of them.
private final class EventLoopReplies: ReplyQueue {
  private let loop: any EventLoop

  init(loop: any EventLoop) { self.loop = loop }

  func run(_ body: @escaping @Sendable () -> Void) { loop.execute(body) }
}
