import Fairness
import HTTPTypes
import Hummingbird
import JSON
import Ledger
import NIOCore

/// `GET /api/stream`: outcomes at an interval, as server-sent events (the HTML Standard, § 9.2). Each is a draw like any
/// other: decided, durable and billed before it is sent.
struct StreamRoute: Routes {
  let gate: LedgerGate
  let store: any LedgerStore
  let renderer: OutcomeRenderer
  let registry: StreamRegistry

  /// The most recorded outcomes that a resumed stream begins with, the newest.
  private static let longestResumption = 1000

  var routes: [Route] { [Route("/api/stream", .get, needs: .draw, isHeadable: false, handler: stream)] }

  @Sendable private func stream(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let parameters = try await Incoming(request, context).parameters()
    let draw = try Self.drawRequest(parameters)
    let interval = try parameters.integer("intervalMs", default: 1000, in: 100...60_000)
    if let refusal = gate.refusal(for: context.caller) { throw refusal }
    let recorded = try await recorded(after: try Self.lastEvent(request, parameters, draw.clientSeed), draw, context)
    let open = try registry.open(for: context.holder, on: context.eventLoop)
    context.record.note { $0.showsTiming = false }  // its head is sent before there is anything to tell
    // Whoever does not take the response up does not close the stream either, so it closes itself.
    let closing = Closing { [registry] in registry.close(open) }

    let body = ResponseBody { writer in
      defer { closing.close() }
      // The writer is used by one task at a time: this one.
      nonisolated(unsafe) var output = writer
      try await request.body.consumeWithInboundCloseHandler { _ in
        let started = NIODeadline.now()
        try await OutcomeStream(
          interval: .milliseconds(interval), limits: OutcomeStream.Limits(),
          now: { .nanoseconds((NIODeadline.now() - started).nanoseconds) },
          sleep: { await open.sleep(until: started + TimeAmount($0)) },
          draw: { open.isStopped ? .over : await self.draw(draw, context) },
          write: { try await output.write(inPieces: ByteBuffer(bytes: $0)) }
        ).run(resuming: recorded.count) { try await self.sendRecorded(recorded[$0], context, $1) }
      } onInboundClosed: {
        open.stop()
      }
      try await output.finish(nil)
    }
    return Response(
      status: .ok,
      headers: [
        .contentType: "text/event-stream", .cacheControl: "no-store", .connection: "close", .accelBuffering: "no",
      ],
      body: body)
  }

  private func draw(_ draw: DrawRequest, _ context: FairdrawContext) async -> OutcomeStream.Draw {
    let submission = Submission(caller: context.caller, operation: .draw(draw))
    let result = await withCheckedContinuation { continuation in
      gate.submit(submission, on: context.eventLoop, record: context.record) { continuation.resume(returning: $0) }
    }
    switch result {
    case .success(let reply):
      switch reply.content {
      case .outcome(let cursor, let nonce):
        return .outcome(.init(id: draw.clientSeed.outcomeID(cursor: cursor, nonce: nonce), json: reply.body))
      case .refusal(let refusal) where refusal.kind == .quota: return .quotaExceeded
      default: return .over
      }
    case .failure(let refusal) where refusal.kind == .overload: return .busy
    case .failure(let refusal):
      if refusal.code != .shuttingDown { context.noteCutOff(by: refusal.fault ?? StoreFailure(refusal.error)) }
      return .over
    }
  }

  // MARK: Parameters

  private static let ownNames: [StaticString] = ["endpoint", "intervalMs", "lastEventId"]
  /// What a stream of each endpoint takes.
  private static let names = Dictionary(
    uniqueKeysWithValues: Endpoint.allCases.map { endpoint in
      let place = "/api/stream of \(endpoint.name)"
      return (endpoint, ParameterNames(of: place, ParameterNames.of(endpoint).names + ownNames))
    })
  private static let commonNames = ParameterNames(of: "/api/stream", ["clientSeed"] + ownNames)

  private static func drawRequest(_ parameters: Parameters) throws(Refusal) -> DrawRequest {
    guard let endpoint = try parameters.endpoint(), let names = names[endpoint] else {
      try parameters.check(commonNames)  // perhaps it is only misspelled
      throw .invalid("endpoint", "required")
    }
    try parameters.check(names)
    let draw = try DrawRequest(endpoint: endpoint, parameters: parameters, clientSeed: try parameters.clientSeed())
    // An event's id is a line of text, and begins with it.
    guard !draw.clientSeed.hasControlCharacters else {
      throw .invalid("clientSeed", "must not contain control characters in a stream")
    }
    return draw
  }

  /// The coordinates to go on after. The header wins: a browser that reconnects sends it, and the parameter it began with.
  private static func lastEvent(
    _ request: Request, _ parameters: Parameters, _ clientSeed: ClientSeed
  ) throws(Refusal) -> (cursor: Int64, nonce: Int64)? {
    let parameter = try parameters.text("lastEventId")
    guard let text = request.headers[.lastEventID].map({ Array($0.utf8) }) ?? parameter, !text.isEmpty else {
      return nil
    }
    let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    let numbers = parts.suffix(2).compactMap { part in
      !part.isEmpty && part.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        ? Int64(String(decoding: part, as: UTF8.self)) : nil
    }
    // A header has lost the spaces that a client seed may begin with.
    let seed = parts.dropLast(2).joined(separator: [UInt8(ascii: ":")])
    guard parts.count >= 3, numbers.count == 2,
      seed.drop(while: { $0 == 0x20 || $0 == 0x09 })
        .elementsEqual(clientSeed.bytes.drop { $0 == 0x20 || $0 == 0x09 })
    else { throw .invalid("lastEventId", "must be the id of an event of this clientSeed, such as test:0:17") }
    return (numbers[0], numbers[1])
  }

  /// The row numbers of the outcomes to begin with.
  private func recorded(
    after last: (cursor: Int64, nonce: Int64)?, _ draw: DrawRequest, _ context: FairdrawContext
  ) async throws(Refusal) -> [Int64] {
    guard let last else { return [] }
    return try await context.reading { () throws(StoreFailure) in
      try await store.outcomeNumbers(
        of: context.caller, clientSeed: draw.clientSeed, newerThan: last, limit: Self.longestResumption)
    }
  }

  /// Hands a recorded outcome to `send`; it is in memory no longer than that takes.
  private func sendRecorded(
    _ number: Int64, _ context: FairdrawContext, _ send: (OutcomeStream.Outcome) async throws -> Void
  ) async throws {
    let reservation = try await context.reserveMemory(isUnderWay: true)
    let outcome: Outcome
    do {
      guard let recorded = try await store.recordedOutcome(id: number)?.outcome else {
        throw StoreFailure.damaged("outcome \(number) is missing")
      }
      outcome = recorded
    } catch {
      context.noteCutOff(by: error)
      throw error
    }
    reservation.shrink(to: 3 * outcome.bytes)
    var body: [UInt8] = []
    renderer.append(outcome, to: &body)
    let id = outcome.clientSeed.outcomeID(cursor: outcome.cursor, nonce: outcome.nonce)
    try await send(.init(id: id, json: body))
    withExtendedLifetime(reservation) {}
  }
}

extension ClientSeed {
  /// Whether it has a character of Unicode's category Cc: U+0000 to U+001F, U+007F to U+009F.
  fileprivate var hasControlCharacters: Bool {
    String(decoding: bytes, as: UTF8.self).unicodeScalars.contains { $0.properties.generalCategory == .control }
  }
}

/// Does something once: when told, or when nobody is left who could.
private final class Closing: Sendable {
  private let action: @Sendable () -> Void

  init(_ action: @escaping @Sendable () -> Void) { self.action = action }

  func close() { action() }

  deinit { action() }
}
