import Fairness
import Hummingbird
import JSON
import Ledger

/// A caller's recorded outcomes, as they were answered.
struct OutcomeRoutes: Routes {
  let store: any LedgerStore
  let renderer: OutcomeRenderer

  private static let maximumPage: Int64 = 1000
  private static let usualAccountPage: Int64 = 100
  private static let listNames = ParameterNames(of: "/api/listOutcomes", "clientSeed", "limit", "before")
  private static let accountNames = ParameterNames(of: "/api/outcomes", "limit", "after", "before", "endpoint")
  private static let oneNames = ParameterNames(of: "/api/outcome", "clientSeed", "cursor", "nonce")

  var routes: [Route] {
    [
      Route("/api/listOutcomes", .get, needs: .read, handler: list),
      Route("/api/outcomes", .get, needs: .read, handler: ofAccount),
      Route("/api/outcome", .get, needs: .read, handler: one),
    ]
  }

  @Sendable private func list(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let parameters = try await Incoming(request, context).parameters(Self.listNames)
    let clientSeed = try parameters.clientSeed()
    let limit = try parameters.integer("limit", default: Self.maximumPage, in: 1...Self.maximumPage)
    let start = try await start(parameters, context)
    let reservation = try await context.reserveMemory()
    let page = try await context.reading { () throws(StoreFailure) in
      try await store.outcomes(
        of: context.caller, clientSeed: clientSeed, from: start, limit: Int(limit), withReveals: true)
    }
    guard !page.hasMore || page.outcomes.count == limit else {
      // Too large to be held at once: read once more, and written as it is read.
      return .stream("application/json", context) { writer in
        try await write(to: &writer, clientSeed, from: start, limit: Int(limit), context)
      }
    }
    var body: [UInt8] = [UInt8(ascii: "[")]
    for (index, outcome) in page.outcomes.enumerated() {
      if index > 0 { body.append(UInt8(ascii: ",")) }
      renderer.append(outcome, to: &body)
    }
    body.append(UInt8(ascii: "]"))
    return .json(body, holding: reservation, context)
  }

  private func write(
    to writer: inout any ResponseBodyWriter, _ clientSeed: ClientSeed, from start: OutcomeListStart, limit: Int,
    _ context: FairdrawContext
  ) async throws {
    // Unsafe in name only: it is used by this task alone, and no call overlaps another.
    nonisolated(unsafe) var output = writer
    defer { writer = output }
    var separator = UInt8(ascii: "[")
    func write(_ outcome: Outcome) async throws {
      var text = [separator]
      separator = UInt8(ascii: ",")
      renderer.append(outcome, to: &text)
      try await output.write(inPieces: ByteBuffer(bytes: text))
    }
    try await store.forEachOutcome(
      of: context.caller, clientSeed: clientSeed, from: start, limit: limit,
      reserve: { try await context.reserveMemory(isUnderWay: true) }, write)
    try await output.write(ByteBuffer(string: "]"))
  }

  // MARK: Of an account

  @Sendable private func ofAccount(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let parameters = try await Incoming(request, context).parameters(Self.accountNames)
    let limit = try parameters.integer("limit", default: Self.usualAccountPage, in: 1...Self.maximumPage)
    let endpoint = try parameters.endpoint()
    let side = try Self.side(parameters)
    guard context.caller != .anonymous else {
      throw Refusal(401, "This address needs an API key: it lists an account's outcomes.", code: .invalidAPIKey)
    }
    let reservation = try await context.reserveMemory()
    let found = try await context.reading { () throws(StoreFailure) in
      try await store.outcomes(of: context.caller, side, endpoint: endpoint, limit: Int(limit))
    }
    var body: [UInt8] = []
    body.append(json: "{\"outcomes\":[")
    for (index, outcome) in found.page.outcomes.enumerated() {
      if index > 0 { body.append(UInt8(ascii: ",")) }
      renderer.append(outcome, to: &body)
    }
    body.append(json: "],\"next\":")
    body.append(jsonString: found.newer.description)
    body.append(json: ",\"before\":")
    body.append(jsonString: found.older.description)
    body.append(text: ",\"hasMore\":\(found.page.hasMore)}")
    return .json(body, holding: reservation, context)
  }

  private static func side(_ parameters: Parameters) throws(Refusal) -> OutcomeSide {
    let after = try place(parameters, "after")
    guard let before = try place(parameters, "before") else { return after.map { .after($0) } ?? .before(.end) }
    guard after == nil else { throw .invalid("after", "cannot be given together with before") }
    return .before(before)
  }

  /// A cursor, or a time.
  private static func place(_ parameters: Parameters, _ name: StaticString) throws(Refusal) -> OutcomePlace? {
    guard let bytes = try parameters.text(name) else { return nil }
    let text = String(decoding: bytes, as: UTF8.self)
    guard let place = OutcomePlace(text) ?? Milliseconds(iso8601: text).map(OutcomePlace.init(time:)) else {
      throw .invalid(
        name, "must be a cursor that this address returned, 0, or a UTC time such as 2026-11-21 or 2026-11-21T08:30:00Z"
      )
    }
    return place
  }

  // MARK: One

  @Sendable private func one(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let parameters = try await Incoming(request, context).parameters(Self.oneNames)
    let clientSeed = try parameters.clientSeed()
    let range = 0...Limits.safeIntegers.upperBound
    guard let cursor = try parameters.integer("cursor", in: range) else { throw Refusal.invalid("cursor", "required") }
    guard let nonce = try parameters.integer("nonce", in: range) else { throw Refusal.invalid("nonce", "required") }
    let reservation = try await context.reserveMemory()
    let outcome = try await context.reading { () throws(StoreFailure) in
      try await store.outcome(of: context.caller, clientSeed: clientSeed, cursor: cursor, nonce: nonce)
    }
    guard let outcome else {
      throw Refusal.invalid("clientSeed", "has no outcome at this cursor and nonce")
    }
    var body: [UInt8] = []
    renderer.append(outcome, to: &body)
    return .json(body, holding: reservation, context)
  }

  /// `before=cursor:nonce`, or the short id of the outcome that the list is to go on after.
  private func start(
    _ parameters: Parameters, _ context: FairdrawContext
  ) async throws(Refusal) -> OutcomeListStart {
    guard let text = try parameters.text("before") else { return .newest }
    if renderer.shortIDs.decode(text) != nil { return .afterShortID(text) }
    // Imported outcomes may have names of other lengths.
    if OutcomeOrigin.isShortID(text),
      try await context.reading({ () throws(StoreFailure) in try await store.recordedOutcome(shortID: text) }) != nil
    {
      return .afterShortID(text)
    }
    let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).map { part in
      part.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        ? Int64(String(decoding: part, as: UTF8.self)) : nil
    }
    guard parts.count == 2, let cursor = parts[0], let nonce = parts[1] else {
      throw .invalid("before", "must be a cursor and a nonce with a colon between them, such as 0:17, or a shortId")
    }
    return .before(cursor: cursor, nonce: nonce)
  }
}
